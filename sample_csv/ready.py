"""The small files in files/; `python -m sample_csv.ready` writes them again."""

from pathlib import Path

from sample_csv.accidents import cut_off, shift_down, swap_columns
from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes

FILES = Path(__file__).parent / "files"
SEED = 7


def ready_files() -> dict[str, bytes]:
    """Name -> content of every file in files/."""
    people = generate_bytes(Dataset.PEOPLE, 1_000, SEED)
    teams = generate_bytes(Dataset.TEAMS, 100, SEED)
    return {
        "people-small.csv": people,
        "people-swapped-columns.csv": swap_columns(people, "email", "phone"),
        "people-truncated.csv": cut_off(people, whole_rows=637),
        "teams-small.csv": teams,
        "teams-shifted-phones.csv": shift_down(teams, "manager_phone"),
    }


def main() -> None:
    """Writes the files."""
    FILES.mkdir(exist_ok=True)
    for name, content in ready_files().items():
        (FILES / name).write_bytes(content)


if __name__ == "__main__":
    main()

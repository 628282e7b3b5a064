"""What commands show: tables, bars, sentences."""

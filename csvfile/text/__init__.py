"""Which text a file is: kinds that are none, encodings, other quotes. Bytes in, UTF-8 as RFC 4180 has it out."""

"""What the fuzzer knows of each parser."""

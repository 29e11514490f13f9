"""Pasted addresses: tables of what people paste, and a fuzzer of their readers. See bench/README.md."""

"""One reader for each kind of file that holds text beside pictures, sound or weights.

A reader is a generator: it gets a seekable binary file that stands behind nothing (it seeks itself) and yields
`(name, bytes)` for each text whose name may be a graph's. It reads no pixels and no samples, and ends quietly where the
file is cut: what came before the cut counts.
"""

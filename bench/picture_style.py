"""What the benchmarks' pictures have in common: their letters, background and grid, as SVG styles."""

COMMON = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.head { font-size: 15px; font-weight: 600 }
.sub { font-weight: 600 }
.dim { fill: #59636e }
.end { text-anchor: end }
.mid { text-anchor: middle }
.back { fill: #ffffff }
.grid { stroke: #d8dee4; stroke-width: 1 }
"""

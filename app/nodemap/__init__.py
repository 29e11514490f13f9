"""Which node pack has which class: from what a workflow says itself, ComfyUI-Manager's map and the registry.

Pure: the files come in as parsed JSON, the answers go out with their evidence. Nobody guesses: where the evidence
leaves more than one pack, or none, the answer is a question.
"""

"""What requirement files say: names, versions, markers (PEP 440 and PEP 508). Nothing here changes anything."""

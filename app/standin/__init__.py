"""The stand-in: a local sshd with a ComfyUI-shaped tree that plays an instance, and a git server.

`instance.StandIn` is the machine, `git_server.GitServer` what it clones from, `packs.make_pack` makes what is cloned,
`relay.Relay` is a line that can be frozen and cut. All of it is real (sshd, git, Python environments), small, on
loopback only, and leaves nothing behind.
"""

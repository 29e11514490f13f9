"""The ways to log in that depend on ssh_config(5) and known_hosts. As `rows.py`."""

from __future__ import annotations

import subprocess

from test.remote.conftest import Sshd
from test.ssh.machine import USER, Account
from test.ssh.rows import ROWS, Row, World, row

_REST = " HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n"
_CONFIGS = {
    "alias with HostName, Port, User": "Host gpu\n{rest}",
    "keywords with = and in capitals": (
        "HOST=gpu\n HOSTNAME = 127.0.0.1\n PORT={port}\n User ={user}\n identityfile={key}\n"
    ),
    "values in quotes": (
        'Host "gpu"\n "HostName" "127.0.0.1"\n Port "{port}"\n User="{user}"\n IdentityFile "{key}"\n'
    ),
    "values in single quotes": (
        "Host 'gpu'\n HostName '127.0.0.1'\n Port '{port}'\n User '{user}'\n IdentityFile '{key}'\n"
    ),
    "comments behind values": (
        "Host gpu # mine\n HostName 127.0.0.1 # a\n Port {port}\t# b\n User {user}\n IdentityFile {key} # c\n"
    ),
    "tabs, empty lines, CRLF": (
        "\r\n\tHost\tgpu\r\n\t\tHostName\t127.0.0.1\r\n\r\n\tPort\t{port}\r\n User {user}\r\n IdentityFile {key}\r\n"
    ),
    "several names in one Host": "Host a gpu b\n{rest}",
    "wildcards": "Host g?u\n Port {port}\nHost gp*\n HostName 127.0.0.1\n User {user}\n IdentityFile {key}\n",
    "a negated pattern": "Host !gpu *\n Port 1\nHost gpu !other\n{rest}",
    "the first value wins": "Host gpu\n{rest}Host *\n Port 1\n User x\n",
    "values before the first Host": (
        "Port {port}\nUser {user}\nHost gpu\n HostName 127.0.0.1\n Port 1\n IdentityFile {key}\n"
    ),
    "HostName with %h": "Host 0.1\n HostName 127.0.%h\n Port {port}\n User {user}\n IdentityFile {key}\n",
    "Match host": (
        "Host gpu\n HostName 127.0.0.1\nMatch host 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n"
    ),
    "Match host with =": (
        "Host gpu\n HostName 127.0.0.1\nMatch host=127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n"
    ),
    "Match originalhost": "Match originalhost gpu,x\n{rest}",
    "Match with !": "Match !originalhost other,x\n{rest}",
    "Match user": (
        "Host gpu\n User {user}\nMatch user {user} host gpu\n HostName 127.0.0.1\n Port {port}\n IdentityFile {key}\n"
    ),
    "Match localuser": "Match localuser {user} host gpu\n{rest}",
    "Match all": "Match all\n Port {port}\nHost gpu\n HostName 127.0.0.1\n User {user}\n IdentityFile {key}\n",
    "Match final": (
        "Match final host 127.0.0.1\n Port {port}\nHost gpu\n HostName 127.0.0.1\n User {user}\n IdentityFile {key}\n"
    ),
    "Match final all": (
        "Match final all\n Port {port}\n IdentityFile {key}\nHost gpu\n HostName 127.0.0.1\n User {user}\n"
    ),
    "Host of the second pass": (
        "Match final\n User {user}\nHost gpu\n HostName 127.0.0.1\nHost 127.0.0.1\n Port {port}\n IdentityFile {key}\n"
    ),
    "Match canonical": "Match canonical\n Port 1\nHost gpu\n{rest}",
    "Match exec beside (not run)": "Match exec false\n Port 1\nHost gpu\n{rest}",
    "Match of an old criterion": 'Match host nothing exec "touch ~/mark"\n Port 1\nHost gpu\n{rest}',
    "RemoteCommand and RequestTTY": "Host gpu\n{rest} RemoteCommand true\n RequestTTY no\n",
    "ControlMaster": "Host gpu\n{rest} ControlMaster auto\n ControlPath ~/c-%C\n ControlPersist no\n",
    "forwardings and the rest": (
        "Host gpu\n{rest} ForwardAgent yes\n ServerAliveInterval 30\n Compression yes\n"
        " LogLevel QUIET\n SendEnv LANG LC_*\n SetEnv A=b\n TCPKeepAlive yes\n AddressFamily inet\n"
        " ConnectTimeout 5\n EscapeChar none\n"
    ),
    "IgnoreUnknown": "IgnoreUnknown UseKeychain,Foo\nUseKeychain yes\nFoo bar\nHost gpu\n{rest}",
    "CanonicalizeHostname no": "CanonicalizeHostname no\nHost gpu\n{rest}",
    "ProxyCommand none, ProxyJump none": "Host gpu\n{rest} ProxyJump none\nHost *\n ProxyCommand none\n",
    "IdentityFile with tokens": (
        "Host gpu\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile %d/.ssh/%r-%u-%h-%n-%%\n"
    ),
    "IdentityFile with a variable": (
        "Host gpu\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile ${{KEYS}}/good_ed25519\n"
    ),
    "IdentityFile none before the right one": (
        "Host gpu\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile none\n IdentityFile {key}\n"
    ),
    "Include": "Include extra\n",
    "Include with a wildcard and quotes": 'Include "config.d/*.conf"\n',
    "Include by ~": "Include ~/.ssh/extra\n",
    "Include by an absolute name and a missing one": "Include /nowhere/* {ssh_dir}/extra\n",
    "Include inside a Host": "Host gpu\n Include inside\nHost *\n Port 1\n",
    "Include inside another Host does not count": "Host other\n Include extra-wrong\nHost gpu\n Include inside\n",
    "the machine's own ssh_config": "Host gpu\n User {user}\n",
}
for _name, _text in _CONFIGS.items():

    def _config(account: Account, world: World, text: str = _text) -> str:
        key = account.keep(world.keys.folder / "good_ed25519", "good")
        account.keep(world.keys.folder / "good_ed25519", f"{USER}-{USER}-127.0.0.1-gpu-%")
        values = {"port": world.main.port, "user": USER, "key": "~/.ssh/good", "ssh_dir": account.ssh_dir}
        values["rest"] = _REST.format(**values)
        account.environ["KEYS"] = str(world.keys.folder)
        full = _CONFIGS["alias with HostName, Port, User"].format(**values)
        account.write("extra", full)
        account.write("extra-wrong", "Host gpu\n Port 1\nHost *\n Port 1\n")
        account.write("config.d/10.conf", full)
        account.write("config.d/20.conf", "Host *\n Port 1\n")
        account.write("inside", f"HostName 127.0.0.1\nPort {world.main.port}\nUser {USER}\nIdentityFile {key}\n")
        account.write("config", text.format(**values))
        if text == _CONFIGS["the machine's own ssh_config"]:
            (account.home / "ssh_config").write_text(full)
        return "ssh 0.1" if text.startswith("Host 0.1") else "ssh gpu"

    ROWS.append(Row(f"config: {_name}", "both", _config))


@row("config: Match exec that a login depends on", "named", "no SSH key|none of your SSH keys")
def _match_exec(account: Account, world: World) -> str:
    key = account.keep(world.keys.folder / "good_ed25519", "good")
    account.write("config", f"Match exec true\n IdentityFile {key}\n")
    return f"ssh {world.to()}"


@row("config: ProxyCommand", "named", "ProxyCommand .*does not support.*ProxyJump")
def _proxy_command(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "good_ed25519", "id_ed25519")
    account.write("config", f"ProxyCommand {PIPE} %h %p\n")
    return f"ssh {world.to()}"


PIPE = (
    'python3 -c "import socket,sys,threading,os;s=socket.create_connection((sys.argv[1],int(sys.argv[2])));'
    "f=lambda:[s.sendall(d) for d in iter(lambda:os.read(0,65536),b'')];threading.Thread(target=f,daemon=True).start();"
    "[os.write(1,d) for d in iter(lambda:s.recv(65536),b'')]\""
)
"""A program that does what `nc` does."""


# --- jump hosts -------------------------------------------------------------------------------------------------------


def _hops(account: Account, world: World) -> None:
    good, inner = (account.keep(world.keys.folder / name) for name in ("good_ed25519", "inner"))
    first = f" HostName 127.0.0.1\n Port {world.main.port}\n User {USER}\n IdentityFile {good}\n"
    last = f" HostName 127.0.0.1\n Port {world.inner.port}\n User {USER}\n IdentityFile {inner}\n"
    account.write(
        "config",
        f"Host hop\n{first}Host hop2\n{first} ProxyJump hop\nHost gpu\n{last} ProxyJump hop\n"
        f"Host far\n{last} ProxyJump hop,hop2\nHost nested\n{last} ProxyJump hop2\nHost inner\n{last}",
    )


_JUMPS = {
    "ProxyJump in the alias": "ssh gpu",
    "ProxyJump over two hops": "ssh far",
    "a hop that has a hop": "ssh nested",
    "-J with an alias": "ssh -J hop inner",
    "-J with user, host and port": "ssh -J {user}@127.0.0.1:{port} -i ~/.ssh/inner -i ~/.ssh/good_ed25519 inner",
    "-J with two": "ssh -J hop,hop2 inner",
    "-J with ssh://": "ssh -J ssh://{user}@hop:{port} inner",
    "-o ProxyJump": "ssh -o ProxyJump=hop inner",
}
for _name, _command in _JUMPS.items():

    def _jump(account: Account, world: World, command: str = _command) -> str:
        _hops(account, world)
        if "127.0.0.1" in command:
            account.keep(world.keys.folder / "good_ed25519", "id_ed25519")
        return command.format(user=USER, port=world.main.port)

    ROWS.append(Row(f"jump: {_name}", "both", _jump))


# --- host keys --------------------------------------------------------------------------------------------------------


def _line(server: Sshd, name: str = "") -> str:
    return server.host_key_line(name or f"[127.0.0.1]:{server.port}") + "\n"


def _other(world: World) -> str:
    """Another machine's key under this machine's name: what a former rental left."""
    return world.inner.host_key_line(f"[127.0.0.1]:{world.main.port}") + "\n"


def _known(name: str, outcome: str, config: str, says: str = "", **files: str) -> None:
    def play(account: Account, world: World) -> str:
        account.keep(world.keys.folder / "good_ed25519", "id_ed25519")
        values = {
            "right": _line(world.main),
            "other": _other(world),
            "alias": _line(world.main, "my-machine"),
            "authority": f"@cert-authority * {world.keys.public('ca')}",
        }
        for file, text in files.items():
            account.write(file, text.format(**values))
        if name == "hashed":
            command = ["ssh-keygen", "-q", "-H", "-f", str(account.ssh_dir / "known_hosts")]
            subprocess.run(command, check=True, capture_output=True)
        account.write("config", config)
        return f"ssh {world.to()}"

    ROWS.append(Row(f"known_hosts: {name}", outcome, play, says))


_STRICT = "StrictHostKeyChecking yes\n"
_known("the key is there", "both", _STRICT, known_hosts="{right}")
_known("hashed", "both", _STRICT, known_hosts="{right}")
_known("HostKeyAlias", "both", f"HostKeyAlias my-machine\n{_STRICT}", known_hosts="{other}{alias}")
_known("several files", "both", f"UserKnownHostsFile ~/.ssh/a ~/.ssh/b\n{_STRICT}", known_hosts="{other}", b="{right}")
_known(
    "/dev/null in place of a file with an old key",
    "both",
    "UserKnownHostsFile /dev/null\nStrictHostKeyChecking no\n",
    known_hosts="{other}",
)
_known("none in place of a file with an old key", "ours", "UserKnownHostsFile none\n", known_hosts="{other}")
_known("an old key, and StrictHostKeyChecking no", "both", "StrictHostKeyChecking no\n", known_hosts="{other}")
_known("an old key", "neither", "", "identifies itself with .*known_hosts", known_hosts="{other}")
_known("a key that nobody knows", "ours", _STRICT)
_known("@cert-authority", "ours", _STRICT, known_hosts="{authority}")
_known("accept-new", "both", "StrictHostKeyChecking accept-new\n")
_known("the right key beside an old one", "both", _STRICT, known_hosts="{other}{right}")

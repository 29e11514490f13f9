"""What is a secret, by its shape or by its value, and what is none."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from html import escape
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.protocol import redaction, secret_shapes, secret_values
from app.protocol.redaction import MASK, MaskedLines, masked, masked_bytes
from test.support.service import ROOT

SECRETS = [
    "fatal: unable to access 'https://someone:{}@host.example/owner/repo/'",
    "Cloning git+https://{}@github.com/owner/repo",
    "https://someone:with/slash{}@host.example/x",
    "https://someone:with@at{}@host.example/x",
    "https://someone:with*star{}@host.example/x",
    "git clone ssh://git:{}@host.example/repo",
    "The repository URL 'ftp://someone:{}' is cut",
    "postgresql+psycopg://nodeferry:{}@db.example/nodeferry",
    "Authorization: Bearer {}",
    "git -c http.extraHeader='AUTHORIZATION: basic {}' fetch",
    '{{"authorization": "Basic {}"}}',
    "PRIVATE-TOKEN: {}",
    "Cookie: theme=dark; session={}; x=1",
    "Set-Cookie: nodeferry-session-5000={}; Path=/",
    "token is ghp_{} and goes on",
    "HF_TOKEN=hf_{}",
    "export CIVITAI_API_KEY='{}'",
    "{{'token': '{}'}}",
    '{{"hf_api_token": "{}"}}',
    '{{\\"password\\": \\"{}\\"}}',
    "https://civitai.com/api/download/models/1?type=Model&token={}",
    "https://bucket.s3.amazonaws.com/x?X-Amz-Credential={0}&X-Amz-Security-Token={0}&X-Amz-Signature={0}&z=1",
    "https://acc.blob.core.windows.net/c/x.whl?sv=2024&sig={}",
    "https://storage.googleapis.com/x?X-Goog-Signature={}",
    "http://127.0.0.1:5000/#token=ndf_{}",
    "http://127.0.0.1:40001/nodeferry-open/{}/",
    "comfy model download --url x --set-civitai-api-token {}",
    "sshpass -p {} ssh root@host",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n{0}\n{0}\n-----END OPENSSH PRIVATE KEY-----",
    "AWS_SECRET_ACCESS_KEY = {}",
    "password={}",
    "go to https%3A%2F%2Fsomeone%3A{}%40host.example%2Fx",
    "go to https%253A%252F%252Fsomeone%253A{}%2540host.example%252Fx",
    '"repository": "https:\\/\\/someone:{}@host.example\\/x"',
    "link to //someone:{}@host.example/x",
    "proxy someone:{}@127.0.0.1:3128 refused",
    "HF_TOKEN%3D{}%26x",
    "HF_TOKEN\\u003d{}",
    "&quot;token&quot;:&quot;{}&quot;",
    "token&#x3D;{}",
    "authorization=Bearer+{}",
    "authorization=Bearer%20{}",
    "https://host.example/x?jwt={}",
    "machine host.example login someone password {}",
    "curl -u someone:{} https://host.example",
    "curl --user 'someone:{}' https://host.example",
    "SSHPASS={} sshpass -e ssh root@host",
    "AccountName=x;AccountKey={};EndpointSuffix=y",
    "vastai set api-key {}",
    "runpodctl config --apiKey {}",
    "the token is {}",
    "pass={}",
]
HONEST = [
    "https://github.com/owner/repo@v1.2",
    "https://host.example:8443/owner/repo@v1.2",
    "git+https://git@github.com/owner/repo@0123456789012345678901234567890123456789",
    "ssh://git@github.com/owner/repo",
    "http://[::1]:8188/x, https://HOST:PORT, http://host:port/, tcp://127.0.0.1:5000, http://localhost:80",
    "git+ssh://git@github.com:2222/owner/repo@main",
    "git@github.com:owner/repo",
    "ssh -p 12345 root@ssh6.vast.ai -i ~/.ssh/id_ed25519",
    "mail a@b.example",
    "hf_hub, hf_transfer, hf_hub_download_with_progress_bar",
    "numpy @ file:///tmp/x.whl",
    "x @ https://host.example/x.whl#sha256=0123456789012345678901234567890123456789012345678901234567890123",
    "python:3.11@sha256:0123456789abcdef",
    "torch==2.5.1+cu124 --hash=sha256:0123456789abcdef0123456789abcdef",
    "host key SHA256:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    "AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE",
    "max_tokens=512, tokenizer=bert2023-uncased, TOKENIZERS_PARALLELISM=false1",
    'token = os.environ.get("HF_TOKEN")',
    "compute capability: 8.9, idempotency_key: abc1234567890",
    "Permission denied (publickey,password). password authentication failed",
    "Enter passphrase for key: wrong",
    "set PASSWORD_FILE=/run/secrets/password",
    '{"token": 1234567890123, "task_id": "550e8400-e29b-41d4-a716-446655440000"}',
    "send `Authorization: Bearer TOKEN`, -H 'Authorization: Bearer $NODEFERRY_TOKEN'",
    "docker run -u 1000:1000 --user 0:0 vastai/comfy:v0.3.10-cuda-12.1-pytorch-2.5.1-py311",
    "docker.io/nvidia/cuda:12.4.1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "npm:string-width@4.2.0, https%3A%2F%2Fgithub.com%2Fo%2Fr%40v1, ssh%3A%2F%2Froot%40ssh6.vast.ai",
    "the token is wrong; token SHA256:47DEQpj8HBSa, api key ComfyUI-Manager; pass=12 fail=3, pass=skipped",
    "secrets.token_urlsafe(32), special_tokens_map.json, eos_token_id=151645, token 128001",
    "password login to ComfyUI_Controlnet_Aux_v2.json",
    "git+https://…@ref, (`https://host:port`, else none), hide_password=True, a password: `config show`",
    "// see: a@b.example:80, //host.example/x@v1",
    "/root/.ssh/known_hosts:3 http://127.0.0.1:8188/?clientId=0123456789",
]
SECRET = "S3cr3tS3cr3tS3cr3tS3cr3t"


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    """What a test registers is forgotten after it. It begins with nothing: the secrets of hundreds of services that
    other tests had in this process leave no room for more."""
    before = secret_values._values, secret_values._coded
    secret_values._values, secret_values._coded = (), ()
    yield
    secret_values._values, secret_values._coded = before


@pytest.mark.parametrize("line", SECRETS)
def test_a_secret_becomes_three_asterisks(line: str) -> None:
    """What stands around it stays readable, and a second time changes nothing. In bytes the length stays."""
    text = line.format(SECRET)
    shown = masked(text)
    assert SECRET not in shown and MASK in shown
    assert shown.startswith(text[:2]) and masked(shown) == shown
    same_long = masked_bytes(text.encode())
    assert len(same_long) == len(text) and SECRET.encode() not in same_long


@pytest.mark.parametrize("line", HONEST)
def test_what_is_no_secret_stays(line: str) -> None:
    """A log is there to be read."""
    assert masked(line) == line


def test_every_message_of_the_product_stays() -> None:
    """Those of the table of messages: one says which header a token is sent in."""
    text = (ROOT / "docs" / "messages.md").read_text("utf-8")
    assert masked(text).splitlines() == text.splitlines()


def test_one_form_of_a_masked_address() -> None:
    """It is clear what was masked."""
    assert masked("https://user:password@host/x?token=abcdef12&b=1") == "https://***@host/x?token=***&b=1"


_FORMS: dict[str, Callable[[str], str]] = {
    "itself": lambda text: text,
    "in a URL": lambda text: quote(text, safe=""),
    "in JSON": json.dumps,
    "in a page": lambda text: escape(text, quote=False),
    "in a header": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "in capitals": str.upper,
    "over lines": lambda text: "\n      │ ".join([text[:3], text[3:7], text[7:]]),
    "over lines of JSON": lambda text: json.dumps("\n  ".join([text[:5], text[5:]])),
    "of Python": repr,
}


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize(
    "secret", ["c4nary-Passw0rd", "p/w&rd%1@x", "geheim-ä1ß", 'quo"te1x', "back\\slash1", "n4meless"]
)
def test_a_known_secret_is_masked_in_every_form(secret: str, form: str) -> None:
    """As URLs, JSON, headers and terminals of 80 columns have it."""
    redaction.register(secret, "user")
    said = f"before {_FORMS[form](secret)} after"
    assert masked(said) in ("before *** after", 'before "***" after', "before '***' after")


@pytest.mark.parametrize("word", ["password", "secret", "root", "12345678", "python"])
def test_a_secret_that_is_a_word_is_masked_beside_its_user_only(word: str) -> None:
    """Else it would blank what everybody has to read."""
    redaction.register(word, "someone")
    assert masked(f"pip install {word}") == f"pip install {word}"
    login = base64.b64encode(f"someone:{word}".encode()).decode()
    assert masked(f"with someone:{word} or {login}") == "with *** or ***"


def test_configured_text_makes_its_secrets_known() -> None:
    """A login in an address is then known without the address; so is a header's, and a variable's."""
    header = base64.b64encode(b"x-access-token:t0kenOfGit").decode()
    redaction.register_text(f"proxy http://bob:Pr0xyW0rd@p:1\nextraheader=AUTHORIZATION: basic {header}")
    redaction.register_variables({"WEB_PASSWORD": "Wb1Passw0rd", "SSH_KEY": "~/.ssh/id_1", "GPG_KEY": "E3FF2839C048"})
    assert masked("Pr0xyW0rd t0kenOfGit Wb1Passw0rd ~/.ssh/id_1 E3FF2839C048") == "*** *** *** ~/.ssh/id_1 E3FF2839C048"


_secrets = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=8, max_size=40)
_words = st.text(st.characters(max_codepoint=0x17F, exclude_categories=["Cs"]), max_size=30)


@given(secret=_secrets, before=_words, after=_words, form=st.sampled_from(sorted(_FORMS)))
def test_no_known_secret_is_ever_in_a_masked_text(secret: str, before: str, after: str, form: str) -> None:
    """Whatever stands around it."""
    assume(secret_values._is_telling(secret))
    secret_values._values = ()
    redaction.register(secret, "user")
    said = masked(before + _FORMS[form](secret) + after)
    assume(secret not in before + after)
    assert secret not in said and quote(secret, safe="") not in said


@given(value=st.recursive(st.integers() | _words | st.sampled_from([x.format(SECRET) for x in SECRETS]), st.lists))
def test_masked_json_stays_json(value: object) -> None:
    """Its texts are masked as JSON."""
    assert SECRET not in json.dumps(json.loads(masked(json.dumps(value))))
    assert SECRET not in json.dumps(json.loads(masked(json.dumps({"token": value, "password": [value]}))))


_bits = st.sampled_from(
    ["token", "api-KEY", "Encryption_key", "pass=", "--", " -u a:", "//", ":\\\\/", "@", ":8080", '":"', "=", " "]
)
_pieces = st.sampled_from([each.format(SECRET) for each in SECRETS] + HONEST) | _bits | _words


@settings(deadline=None, max_examples=300)
@given(pieces=st.lists(_pieces, max_size=12), filler=st.sampled_from(["", " and so on" * 40, "x" * 900, "a/b:" * 200]))
def test_a_long_text_is_looked_at_where_a_secret_may_begin_and_nothing_is_missed(
    pieces: list[str], filler: str
) -> None:
    """What is found is what looking at all of it finds, also where the case of a letter is a rare one."""
    for text in (filler.join(pieces), filler + "".join(pieces), filler + "".join(pieces).replace("k", "\u212a")):
        whole = [
            span
            for number, shape in enumerate(secret_shapes._SHAPES)
            if any(word in text.lower() for word in shape.words)
            for span in secret_shapes._spans(secret_shapes._finder(secret_shapes._compiled(number), text, None), shape)
        ]
        assert list(secret_shapes.spans(text)) == whole


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 20_000), max_size=12), line=st.sampled_from(SECRETS), long=st.booleans())
def test_a_secret_that_pieces_of_output_share_is_masked(cuts: list[int], line: str, long: bool) -> None:
    """Also where a line is so long that it is not held to its end, and where the secret goes on in the next line."""
    redaction.register("kn0wnByValue", "user")
    filler = "x" * 9_000 if long else "x"
    text = f"{filler} {line.format(SECRET)} {filler} {line.format(SECRET)}\nkn0w\n    nByValue\n{filler} kn0wnBy\nend"
    raw, lines = text.encode(), MaskedLines()
    places = sorted({0, len(raw), *(cut % len(raw) for cut in cuts)})
    said = b"".join(lines.feed(raw[begin:end]) for begin, end in pairwise(places)) + lines.end()
    assert SECRET.encode() not in said and b"nByValue\n" not in said
    assert said.endswith(b" kn0wnBy\nend")

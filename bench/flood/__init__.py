"""How long polls take while 800 clients are slow, wait, or test instances that never answer: `make prove-flood`."""

import signal

import pytest
from uvicorn import Config

from app.cli.api_process import _server
from app.routes.gate import Gate


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_takes_no_new_work_from_the_signal_on(number):
    gate = Gate()
    gate.phase = "ready"
    server = _server(Config(lambda: None, log_config=None), gate, lambda: None)
    server.handle_exit(number, None)
    assert (gate.phase, server.should_exit) == ("stopping", True)

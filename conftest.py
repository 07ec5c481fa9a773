"""What every test runs under: one thread, no network, fixed seeds, one hypothesis profile."""

import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# before numpy or torch is imported, and inherited by the processes that tests start
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["COLUMNS"] = "80"  # the width of help texts
# what a shell starts in the background ignores Ctrl-C, and the processes that tests interrupt inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

import tests.shape_checks  # noqa: E402, F401  (the hook below looks it up by name)

# shapes and types of the rooms with formulas are checked while tests run, at no cost to users
TOOLKITS = [path.parent.name for path in Path(__file__).parent.glob("packages/*/pyproject.toml")]
jaxtyping.install_import_hook(
    ["toolkit_shared.language_model"]
    + [f"{name.replace('-', '_')}.{room}" for name in TOOLKITS for room in ("model", "models", "objectives")],
    "tests.shape_checks.checked",
)

hypothesis.settings.register_profile(
    "workspace",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("workspace")

LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "")


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Fix the global generators, for what a peer or a library draws from them."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
        if sys.modules["torch"].get_num_threads() != 1:
            sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Refuse connections to other machines; those within this one stay (process groups, Ray)."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _only_local(getattr(socket.socket, name)))
        yield


def _only_local(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    def connect_locally(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            raise RuntimeError(f"a test tried to reach {address[0]}; tests have no network")
        return connect(self, address)

    return connect_locally


def _is_local(host: str) -> bool:
    if host in LOCAL or host.startswith("127."):
        return True
    try:
        return host == socket.gethostbyname(socket.gethostname())
    except OSError:
        return False

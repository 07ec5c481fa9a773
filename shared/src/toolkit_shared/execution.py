"""One function over many work units, in this process, in a pool of processes, or on a Ray cluster."""

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from typing import Any, Literal, TypeVar

from toolkit_shared.errors import InputError, require

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

# Enough that no worker waits for the one that works on the oldest unit, few enough for a million units.
IN_FLIGHT_PER_WORKER = 4


def map_shards(
    function: Callable[[Item], Outcome],
    items: Iterable[Item],
    *,
    workers: int = 1,
    engine: Literal["local", "ray"] | str = "local",
    progress: Callable[[int], None] | None = None,
) -> Iterator[Outcome]:
    """The outcome of `function` for every item, in the order of the items, whatever the number of workers.

    With one worker everything runs in this process. Else `function` must be importable by its name (neither a
    lambda nor defined inside a function; a `functools.partial` of an importable one is good), items and
    outcomes must pickle, and a program that calls this needs `if __name__ == "__main__":`, for the worker
    processes are started afresh: threads, and locks that torch or arrow hold, are not copied into them.
    Workers end with the iterator, at the first error, and when this process is killed. Work that writes files
    should use `artifacts.atomic_path`, for workers may be stopped at any moment.

    Args:
        function: what to do with one item.
        items: work units, read as they are needed.
        workers: processes; with `ray`, how many units to run at once.
        engine: "local", or "ray": the cluster of RAY_ADDRESS, or else one started on this machine.
        progress: called with 1 for each outcome given out.

    Raises:
        InputError: `workers` is below 1; a worker died; or raised by `function`, which keeps its type as
            every exception does.
        ValueError: `function` cannot be imported by another process.
        MissingExtra: `engine` is "ray" and Ray is not installed.
    """
    if workers < 1:
        raise InputError(f"workers: {workers} is not positive; give 1 or more")
    if engine not in ("local", "ray"):
        raise ValueError(f"engine is {engine!r}; known are 'local' and 'ray'")
    if engine == "ray":
        if not os.environ.get("RAY_ADDRESS"):
            # Under `uv run` Ray starts its workers by the same command, which may not be on their PATH; on
            # this machine they need this interpreter and no more. Ray reads the variable when it is imported.
            os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        ray = require("ray", toolkit="toolkit-shared", extra="ray")
        outcomes = _map_ray(ray, _importable(function), items, workers)
    elif workers == 1:
        outcomes = map(function, items)
    else:
        outcomes = _map_pool(_importable(function), items, workers)
    return _counted(outcomes, progress)


def _counted(outcomes: Iterator[Outcome], progress: Callable[[int], None] | None) -> Iterator[Outcome]:
    try:
        for outcome in outcomes:
            if progress is not None:
                progress(1)
            yield outcome
    finally:
        close = getattr(outcomes, "close", None)
        if close is not None:  # do not leave the end of the workers to the garbage collector
            close()


def _map_pool(function: Callable[[Item], Outcome], items: Iterable[Item], workers: int) -> Iterator[Outcome]:
    context = multiprocessing.get_context("spawn")
    stopped, stop = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(stopped,))
    waiting: deque[Future[tuple[bool, Any]]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(_attempt, function, item))
            if len(waiting) >= workers * IN_FLIGHT_PER_WORKER:
                yield _result(waiting.popleft().result())
        while waiting:
            yield _result(waiting.popleft().result())
    except BrokenProcessPool:
        raise InputError(
            "a worker process died, killed or out of memory; pass fewer --workers, or --workers 1 to see why"
        ) from None
    finally:
        # The workers see the closed pipe and exit at once: idle ones, and busy ones after an error, a
        # KeyboardInterrupt or an abandoned iterator.
        stop.close()
        pool.shutdown(wait=True, cancel_futures=True)
        stopped.close()


def _begin_worker(stopped: Connection) -> None:
    """Set up a worker: it leaves Ctrl-C to its parent, uses one thread, and ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel, stopped])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _map_ray(
    ray: Any, function: Callable[[Item], Outcome], items: Iterable[Item], workers: int
) -> Iterator[Outcome]:
    started = not ray.is_initialized()
    if started and os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    elif started:
        # what is importable here must be importable there, as in a pool of processes
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)
        ray.init(
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"PYTHONPATH": paths}},
        )
    attempt = ray.remote(_attempt)
    waiting: deque[Any] = deque()
    try:
        for item in items:
            waiting.append(attempt.remote(function, item))
            if len(waiting) >= workers * IN_FLIGHT_PER_WORKER:
                yield _result(ray.get(waiting.popleft()))
        while waiting:
            yield _result(ray.get(waiting.popleft()))
    except ray.exceptions.WorkerCrashedError:
        raise InputError("a Ray worker died, killed or out of memory; pass fewer --workers") from None
    finally:
        for task in waiting:
            ray.cancel(task, force=True)
        if started:
            ray.shutdown()


def _attempt(function: Callable[[Any], Any], item: Any) -> tuple[bool, Any]:
    """Whether it went well, and the outcome or the exception; both engines carry exceptions this way."""
    try:
        return True, function(item)
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        try:
            # an exception with arguments of its own may not survive the way to the parent
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        if not isinstance(error, InputError):
            error.add_note(f"In a worker process:\n{text}")
        return False, error


def _result(attempted: tuple[bool, Any]) -> Any:
    good, value = attempted
    if not good:
        raise value
    return value


def _importable(function: Callable[[Item], Outcome]) -> Callable[[Item], Outcome]:
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"{function!r} cannot be used by other processes: {error}") from None
    return function

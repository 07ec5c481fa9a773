"""The command that audits a store."""

from pathlib import Path


def verify(store: Path, /, *, json: bool = False) -> int:
    """Check a store against its hashes and promises; exit code 1 when it fails.

    Args:
        store: Folder of the store.
        json: Print one JSON document.
    """
    from dataclasses import asdict

    from toolkit_shared.cli import emit

    from seqdecomp.verify import verify_store

    audit = verify_store(store)
    emit(asdict(audit), audit.to_text(str(store)), as_json=json)
    return 1 if audit.problems else 0

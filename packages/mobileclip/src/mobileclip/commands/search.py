"""The command that finds images by words or by an image."""

from pathlib import Path


def search(
    embeddings: Path,
    /,
    *queries: str,
    image_query: tuple[Path, ...] = (),
    model: str | None = None,
    checkpoint: str | None = None,
    top: int = 5,
    folded: bool = True,
    random_weights: bool = False,
    device: str = "auto",
    json: bool = False,
) -> None:
    """Find the images nearest to words or to an image, with their cosines.

    Every row is compared, a block at a time, so the file may be larger than memory.

    Args:
        embeddings: File of `mobileclip embed`, or any .npy file of the same model's vectors.
        queries: Words, in quotes; each is a query of its own.
        image_query: Image to find the like of; may be repeated.
        model: Name, JSON file or saved folder; unset: the one that the vectors were made with.
        checkpoint: Weights: a file or a tag; unset: those that the vectors were made with.
        top: Matches shown for each query.
        folded: Merge the branches of training first, for speed.
        random_weights: Go without a checkpoint, to try things out.
        device: auto, cpu, cuda or cuda:N.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar

    from mobileclip.embedding import open_embeddings, top_matches
    from mobileclip.evaluation.embedding import encode_queries, load_encoders_of

    require_at_least(1, top=top)
    if not queries and not image_query:
        raise InputError("no query; give words, or an image by --image-query")
    found = open_embeddings(embeddings)
    encoders = load_encoders_of(
        found, model=model, checkpoint=checkpoint, random_weights=random_weights, device=device, folded=folded
    )
    asked = encode_queries(encoders, queries, image_query)
    with progress_bar(len(found.rows), "search", "rows") as advance:
        numbers, cosines = top_matches(found.rows, asked, top=top, progress=advance)
    details = found.describe(int(number) for row in numbers for number in row)
    results, lines = [], []
    for query, row, scores in zip((*queries, *map(str, image_query)), numbers, cosines, strict=True):
        matches = [
            {"row": int(number), "cosine": float(cosine), **details[int(number)]}
            for number, cosine in zip(row, scores, strict=True)
        ]
        results.append({"query": query, "matches": matches})
        lines.append(query)
        for match in matches:
            name = match.get("path") or match.get("text") or f"row {match['row']}"
            lines.append(f"  {match['cosine']:+.4f}  {name}")
    emit({"embeddings": embeddings, "results": results}, "\n".join(lines), as_json=json)

"""The command table of mobileclip."""

from toolkit_shared.cli import Command, run

ABOUT = (
    "MobileCLIP: fast image-text encoders to embed, classify and search with, folded and exported for "
    "phones; and reinforced datasets, which keep what large teachers know, to train them on."
)

COMMANDS = {
    "embed": Command("Turn images or texts into unit vectors.", "mobileclip.commands.embed:embed"),
    "classify": Command("Name what images show, among labels.", "mobileclip.commands.classify:classify"),
    "search": Command("Find images by words or by an image.", "mobileclip.commands.search:search"),
    "dr build": Command(
        "Reinforce image-text pairs by teachers and a captioner.", "mobileclip.commands.dr_build:dr_build"
    ),
    "dr verify": Command(
        "Re-embed rows of a reinforced dataset; name its faults.",
        "mobileclip.commands.dr_verify:dr_verify",
    ),
    "dr convert": Command(
        "Turn official shards into a store, and back.", "mobileclip.commands.dr_convert:dr_convert"
    ),
    "dr join": Command("Join reinforcement with images by key.", "mobileclip.commands.dr_join:dr_join"),
    "train": Command("Train a model on pairs, reinforced or plain.", "mobileclip.commands.train:train"),
    "fold": Command("Fold a model's branches into plain layers.", "mobileclip.commands.fold:fold"),
    "export onnx": Command(
        "Write both encoders as ONNX, compared with the model.", "mobileclip.commands.export_onnx:export_onnx"
    ),
    "export coreml": Command(
        "Write both encoders as Core ML packages.", "mobileclip.commands.export_coreml:export_coreml"
    ),
    "eval zero-shot": Command(
        "Classify a dataset without training.", "mobileclip.commands.eval_zero_shot:eval_zero_shot"
    ),
    "eval retrieval": Command(
        "Recall of images by captions, and of captions.", "mobileclip.commands.eval_retrieval:eval_retrieval"
    ),
    "eval summarize": Command(
        "Average result files over the 38 tasks.", "mobileclip.commands.eval_summarize:eval_summarize"
    ),
    "bench": Command("Time the encoders, runtime by runtime.", "mobileclip.commands.bench:bench"),
    "demo": Command("The whole way once, on generated pairs.", "mobileclip.commands.demo:demo"),
    "claims": Command("Test the paper's claims at small scale.", "mobileclip.commands.claims:claims"),
}


def main() -> int:
    """Run one command; returns the exit code."""
    return run("mobileclip", ABOUT, COMMANDS)

"""From a hidden vector to the probability of each label, for each of fastText's losses."""

import numpy as np
import numpy.typing as npt

from dclm_bench.fasttext.matrices import Floats
from dclm_bench.text.compiled import compiled

# fastText takes logarithms of p + 1e-5 and gives back their exponentials: a probability may exceed 1.
_LOG_FLOOR = 1e-5
# the weight of a node that is not made yet; every count is below it
MOST_SEEN = 10**15
_SIGMOID_LIMIT, _SIGMOID_STEPS = 8.0, 512

Scores = npt.NDArray[np.float64]


@compiled
def log_softmax_scores(output: Floats, hidden: Floats) -> Scores:
    """log(p + 1e-5) for each row of `output`, p the softmax over `output @ hidden`.

    Source: Joulin et al. (2017), section 2; the floor is the library's.
    """
    logits = np.zeros(len(output), np.float32)
    for label in range(len(output)):
        total = np.float32(0.0)
        for column in range(len(hidden)):
            total += output[label, column] * hidden[column]
        logits[label] = total
    exponentials = np.exp(logits - logits.max())
    probabilities = exponentials / exponentials.sum()
    scores: Scores = np.log(probabilities.astype(np.float64) + _LOG_FLOOR)
    return scores


def log_sigmoid_scores(output: Floats, hidden: Floats) -> Scores:
    """log(p + 1e-5) for each row of `output`, p its own sigmoid, from a table of 512 steps on -8..8.

    Source: fastText's one-versus-all and negative-sampling losses.
    """
    logits = (output @ hidden).astype(np.float64)
    steps = np.clip((logits + _SIGMOID_LIMIT) * _SIGMOID_STEPS / _SIGMOID_LIMIT / 2, 0, _SIGMOID_STEPS)
    places = steps.astype(np.int64) * 2 * _SIGMOID_LIMIT / _SIGMOID_STEPS - _SIGMOID_LIMIT
    probabilities = 1 / (1 + np.exp(-places))
    probabilities = np.where(logits < -_SIGMOID_LIMIT, 0.0, probabilities)
    probabilities = np.where(logits > _SIGMOID_LIMIT, 1.0, probabilities)
    return np.log(probabilities + _LOG_FLOOR)


def huffman_tree(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """The children of each inner node of the tree over labels, shape (labels - 1, 2).

    Leaves are 0 to labels - 1, inner nodes go on from there, the root is the last. Counts must fall; where
    two nodes weigh the same, the inner one is taken first, for files depend on it.

    Source: Joulin et al. (2017), section 2.1.
    """
    num_labels = len(counts)
    weights = [int(count) for count in counts] + [MOST_SEEN] * (num_labels - 1)
    children = np.zeros((num_labels - 1, 2), np.int32)
    leaf, inner = num_labels - 1, num_labels
    for node in range(num_labels, 2 * num_labels - 1):
        for side in range(2):
            if leaf >= 0 and weights[leaf] < weights[inner]:
                children[node - num_labels, side] = leaf
                leaf -= 1
            else:
                children[node - num_labels, side] = inner
                inner += 1
        weights[node] = sum(weights[child] for child in children[node - num_labels])
    return children


@compiled
def log_tree_scores(output: Floats, hidden: Floats, children: npt.NDArray[np.int32]) -> Scores:
    """The sum of log(p + 1e-5) along the path to each leaf; row i of `output` belongs to inner node i.

    Source: Joulin et al. (2017), section 2.1 (hierarchical softmax).
    """
    num_labels = len(children) + 1
    scores = np.zeros(2 * num_labels - 1, np.float32)
    for node in range(len(children) - 1, -1, -1):
        total = np.float32(0.0)
        for column in range(len(hidden)):
            total += output[node, column] * hidden[column]
        right = np.float32(1.0 / (1.0 + np.exp(-total)))
        score = np.float64(scores[num_labels + node])
        scores[children[node, 0]] = score + np.float32(np.log(np.float32(1.0 - right) + _LOG_FLOOR))
        scores[children[node, 1]] = score + np.float32(np.log(right + _LOG_FLOOR))
    return scores[:num_labels].astype(np.float64)

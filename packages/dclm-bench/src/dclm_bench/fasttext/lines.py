"""From the bytes of a line to the rows of the input matrix that its words, n-grams and subwords stand for.

A table of words is six arrays, which the kernels take apart (`table`, `hashes`, `letters`, `starts`):
`letters[starts[i]:starts[i + 1]]` are the bytes of entry i, `hashes[i]` is their hash, and `table` is an
open-addressing hash table of entry numbers, -1 where it is free.

Source: fastText's dictionary (Joulin et al., 2017, section 2; Bojanowski et al., 2017), as its files need it.
"""

import numpy as np
import numpy.typing as npt

from dclm_bench.text.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int32]

END_OF_LINE = np.frombuffer(b"</s>", np.uint8)
LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
FNV_OFFSET, FNV_PRIME = 2166136261, 16777619
NGRAM_FACTOR = 116049371
_LESS, _GREATER = 0x3C, 0x3E  # the signs that mark a word's begin and end among its subwords


@compiled
def hash_step(value: int, byte: int) -> int:
    """The 32-bit FNV-1a hash after one more byte.

    The byte is taken as signed, so one above 127 flips the upper 24 bits as well; files depend on it.
    """
    signed = int(np.int64(byte))
    if signed > 127:
        signed -= 256
    return ((value ^ (signed & 0xFFFFFFFF)) * FNV_PRIME) & 0xFFFFFFFF


@compiled
def hash_bytes(letters: Bytes, begin: int, end: int) -> int:
    """The hash of `letters[begin:end]`, 0 to 2^32 - 1."""
    value = FNV_OFFSET
    for place in range(begin, end):
        value = hash_step(value, letters[place])
    return value


@compiled
def is_blank(byte: int) -> bool:
    """Whether the byte ends a word: space, tab, line feed, vertical tab, form feed, return, or zero."""
    return byte == 32 or 9 <= byte <= 13 or byte == 0


@compiled
def starts_with(letters: Bytes, begin: int, end: int, prefix: Bytes) -> bool:
    """Whether `letters[begin:end]` begins with `prefix`."""
    if end - begin < len(prefix):
        return False
    for offset in range(len(prefix)):
        if letters[begin + offset] != prefix[offset]:
            return False
    return True


@compiled
def find_slot(
    table: Rows,
    hashes: npt.NDArray[np.uint32],
    letters: Bytes,
    starts: npt.NDArray[np.int64],
    line: Bytes,
    begin: int,
    end: int,
    value: int,
) -> int:
    """The slot of `table` that holds the word `line[begin:end]` with hash `value`, or the free one for it."""
    mask = len(table) - 1
    slot = value & mask
    while True:
        entry = table[slot]
        if entry < 0:
            return slot
        if np.int64(hashes[entry]) == value and starts[entry + 1] - starts[entry] == end - begin:
            same = True
            for offset in range(end - begin):
                if letters[starts[entry] + offset] != line[begin + offset]:
                    same = False
                    break
            if same:
                return slot
        slot = (slot + 1) & mask


@compiled
def fill_table(table: Rows, hashes: npt.NDArray[np.uint32]) -> None:
    """Enter all entries into a `table` full of -1; of equal entries the first is found."""
    mask = len(table) - 1
    for entry in range(len(hashes)):
        slot = int(np.int64(hashes[entry])) & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = entry


@compiled
def _add_bucket(rows: Rows, count: int, bucket_row: int, num_words: int, pruned: Rows) -> int:
    """Append the row of a bucket, unless pruning took it away; the new count."""
    if len(pruned) > 0:
        bucket_row = pruned[bucket_row]
        if bucket_row < 0:
            return count
    rows[count] = num_words + bucket_row
    return count + 1


@compiled
def _add_subwords(
    rows: Rows,
    count: int,
    line: Bytes,
    begin: int,
    end: int,
    num_words: int,
    bucket: int,
    min_length: int,
    max_length: int,
    pruned: Rows,
) -> int:
    """Append the rows of all character n-grams of `<word>`; the new count."""
    length = end - begin + 2
    marked = np.empty(length, np.uint8)
    marked[0], marked[length - 1] = _LESS, _GREATER
    marked[1 : length - 1] = line[begin:end]
    for first in range(length):
        if marked[first] & 0xC0 == 0x80:
            continue
        value = FNV_OFFSET
        place, characters = first, 0
        while place < length and characters < max_length:
            value = hash_step(value, marked[place])
            place += 1
            while place < length and marked[place] & 0xC0 == 0x80:
                value = hash_step(value, marked[place])
                place += 1
            characters += 1
            edge = characters == 1 and (first == 0 or place == length)
            if characters >= min_length and not edge:
                count = _add_bucket(rows, count, value % bucket, num_words, pruned)
    return count


@compiled
def rows_of_line(
    line: Bytes,
    begin: int,
    end: int,
    table: Rows,
    hashes: npt.NDArray[np.uint32],
    letters: Bytes,
    starts: npt.NDArray[np.int64],
    num_words: int,
    word_ngrams: int,
    bucket: int,
    min_length: int,
    max_length: int,
    pruned: Rows,
    label_prefix: Bytes,
    end_of_line: Bytes,
) -> tuple[Rows, int]:
    """The rows of the line `line[begin:end]`, an end of line put after it, and its number of words.

    Words come first with their subwords, in order, then the n-grams of words. Labels give no row.
    """
    tokens = 1
    for place in range(begin, end):
        if not is_blank(line[place]) and (place == begin or is_blank(line[place - 1])):
            tokens += 1
    room = tokens * max(word_ngrams, 1)
    if max_length > 0:
        room += (end - begin + 2 * tokens) * (max_length - max(min_length, 1) + 1)
    rows = np.empty(room, np.int32)
    word_hashes = np.empty(tokens, np.uint64)
    count, num_hashes, num_tokens = 0, 0, 0
    place = begin
    while True:
        while place < end and is_blank(line[place]):
            place += 1
        first = place
        source = line
        if place == end:
            source, first, last = end_of_line, 0, len(end_of_line)
        else:
            while place < end and not is_blank(line[place]):
                place += 1
            last = place
        ends = last - first == len(end_of_line) and starts_with(source, first, last, end_of_line)
        value = hash_bytes(source, first, last)
        entry = table[find_slot(table, hashes, letters, starts, source, first, last, value)]
        is_label = entry >= num_words or (entry < 0 and starts_with(source, first, last, label_prefix))
        if not is_label:
            num_tokens += 1
            if entry >= 0:
                rows[count] = entry
                count += 1
            if max_length > 0 and not ends:
                count = _add_subwords(
                    rows, count, source, first, last, num_words, bucket, min_length, max_length, pruned
                )
            # as a signed 32-bit number, whose sign goes into the upper half
            word_hashes[num_hashes] = np.uint64(np.int64(np.int32(np.uint32(value))))
            num_hashes += 1
        if ends:
            break
    for index in range(num_hashes):
        chain = word_hashes[index]
        for other in range(index + 1, min(num_hashes, index + word_ngrams)):
            chain = chain * np.uint64(NGRAM_FACTOR) + word_hashes[other]
            count = _add_bucket(rows, count, int(np.int64(chain % np.uint64(bucket))), num_words, pruned)
    return rows[:count], num_tokens

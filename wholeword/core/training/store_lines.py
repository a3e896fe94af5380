"""What a token store holds, to be printed before it is used."""

from collections.abc import Iterator

from wholeword.core.data.store import TokenStore
from wholeword.core.training.problems import MANY_UNKNOWN

LOSSES = {  # counts of the manifest
    "num_replaced": "{:,} bytes or characters that are not valid Unicode were replaced by U+FFFD, which has no piece",
    "num_dropped": (
        "{:,} characters for private use, or newer than the tokenizer's version of Unicode, were dropped, as transformers drops them "
        "(with compat: google, they become [UNK])"
    ),
    "num_cut": "{:,} documents were larger than a shard and were cut; a larger corpus.shard_mb keeps them whole",
}
MANY_FALLBACKS = 0.05  # share that is worth a warning
LONGEST = 40  # characters of an example


def store_lines(store: TokenStore) -> Iterator[str]:
    """The size of a store, its shares of [UNK] and of fallbacks to single characters, what it lacks of the corpus, and warnings."""
    counts = store.manifest["counts"]
    sentences, pieces = counts["num_sentences"], max(1, counts["num_tokens"])
    fallbacks = counts["num_fallback_sentences"]
    size = f"{counts['num_documents']:,} documents, {sentences:,} sentences, {counts['num_tokens']:,} pieces"
    parts = [f"store: {size}", f"words differ from the text in {fallbacks:,} sentences"]
    unknown = counts.get("num_unknown")  # not in stores of earlier versions
    if unknown is not None:
        parts.insert(1, f"{unknown / pieces:.2%} [UNK]")
    yield "; ".join(parts)
    yield from (f"store: {loss.format(counts[key])}" for key, loss in LOSSES.items() if counts.get(key))
    if unknown is not None and unknown / pieces >= MANY_UNKNOWN:
        recorded: dict[str, int] = store.manifest.get("unknown", {})
        most = ", ".join(sorted(recorded, key=lambda text: (-recorded[text], text))[:8])
        yield f"warning: {unknown / pieces:.0%} of the pieces are [UNK] ({most}); the vocabulary does not fit this corpus"
    if fallbacks / max(1, sentences) >= MANY_FALLBACKS:
        example = next(iter(store.manifest.get("fallback_examples", [])), None)
        text = f" ({example['where']}: {example['text'][:LONGEST]} -> {'/'.join(example['words'])[:LONGEST]})" if example else ""
        yield (
            f"warning: in {fallbacks:,} of {sentences:,} sentences the segmenter's words are not those of the text{text}; "
            "there each character is a word by itself, and whole words are not masked whole"
        )

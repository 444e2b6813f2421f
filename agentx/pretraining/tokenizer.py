"""The tiny model's tokenizer: byte-level BPE in which digits, names and the household's set phrases are tokens.

Besides words and single digits, the pre-tokenizer keeps whole phrases that occur between the names of household
texts (", and a", "You arrive at") together, so that BPE can make one token of each: an episode becomes
a third shorter, in training as well as in generation. The idea is that of superword tokens (SuperBPE, Liu et al.
2025); here the phrases are counted first and then named in the pre-tokenizer's pattern.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from agentx.pretraining.words import HOUSEHOLD

PAD, BOS, END = "<|pad|>", "<|bos|>", "<|end|>"
ROLE_TOKENS = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
SPECIAL_TOKENS = (PAD, BOS, END, *ROLE_TOKENS.values())

CHAT_TEMPLATE = (
    "<|bos|>"
    "{%- for message in messages -%}"
    "{%- if message['role'] not in ['system', 'user', 'assistant'] -%}"
    "{{- raise_exception('role must be system, user or assistant') -}}"
    "{%- endif -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)

_SEPARATOR = re.compile(r" ?\b(?:" + "|".join(sorted(HOUSEHOLD, key=len, reverse=True)) + r")\b|[0-9]|\n")


def frequent_phrases(lines: Iterable[str], count: int) -> list[str]:
    """The `count` fragments between names, digits and line ends, of two words or more, that save most tokens.

    Every line is taken at a line's start and after a mark, where it begins with a space.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(_SEPARATOR.split(line))
        counts.update(_SEPARATOR.split(f" {line}"))
    phrases = [phrase for phrase in counts if re.search(r"\S \S", phrase)]
    phrases.sort(key=lambda phrase: (-counts[phrase] * len(phrase.split()), phrase))
    return phrases[:count]


def pattern(phrases: Sequence[str]) -> str:
    """What one pre-token is: a phrase, a word, a digit, a line end, punctuation or other white space.

    Only words in small letters and digits take the space before them along: a name or a code is the same tokens after
    a space, a quote or a bracket, so that it can be copied from one to the other.
    """
    longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    # Without the look-ahead ", a" would cut ", apple" in two.
    whole = [re.escape(p).replace(r"\ ", " ") + ("(?![A-Za-z])" if p[-1].isalpha() else "") for p in longest_first]
    return "|".join([*whole, r" ?[a-z]+", r"[A-Z][A-Za-z]*", r" ?[0-9]", r"\n", r" ?[^\sA-Za-z0-9]+", r"\s"])


def train_tokenizer(documents: Sequence[str], phrases: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocabulary` entries: 6 special tokens, 256 bytes, then merges.

    Every text decodes to itself. No BOS is added on encoding: the chat template writes it, exactly once.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern(phrases)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLE_TOKENS.values()),
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
        chat_template=CHAT_TEMPLATE,
    )


def load_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(str(directory))

"""What one would write in Python: confluent-kafka, ONNX Runtime, batches by count. See ../README.md for what it leaves out.

`mner bench --peers` starts it, with the product's own bundle and topics.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime as ort
from confluent_kafka import Consumer, KafkaException, Message, Producer

from crf import Crf
from words import split_words

# The encoder with which the model was trained: the same pieces, characters and flags.
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "models" / "training"))
from mner.text.words import MAX_PIECES, Pieces, TweetNumbers, numbers  # noqa: E402


class Model:
    def __init__(self, folder: Path, threads: int, mentions: str) -> None:
        self.manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        self.mentions = mentions
        head = self.manifest["heads"][mentions]
        self.head = head["index"]
        self.crf = Crf(self.manifest["labels"], head)
        self.pieces = Pieces(folder / "tokenizer.json")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])

    def feeds(self, rows: list[TweetNumbers]) -> dict[str, np.ndarray]:
        batch, long = len(rows), max(len(r.input_ids) for r in rows)
        words = max(len(r.first) for r in rows)
        kinds = {"int64": np.int64, "float32": np.float32, "float16": np.float16}
        sizes = {"batch": batch, "pieces": long, "words": words}
        feeds = {
            # The inputs of pictures stay zero.
            name: np.zeros([sizes.get(d, d) for d in spec["shape"]], kinds[spec["type"]])
            for name, spec in self.manifest["inputs"].items()
        }
        feeds["input_ids"][:] = self.pieces.pad
        for i, row in enumerate(rows):
            length, count = len(row.input_ids), len(row.first)
            feeds["input_ids"][i, :length] = row.input_ids
            feeds["attention_mask"][i, :length] = 1
            feeds["word_of"][i, :length] = row.word_of
            feeds["first"][i, :count] = row.first
            feeds["chars"][i, :count] = row.chars
            feeds["flags"][i, :count] = row.flags
        return feeds

    def read(self, texts: list[str]) -> list[list[dict[str, object]]]:
        """The entities of each text, as the product's records have them."""
        split = [self.cut(text) for text in texts]
        full = [i for i, words in enumerate(split) if words]
        entities: list[list[dict[str, object]]] = [[] for _ in texts]
        if not full:
            return entities
        rows = [numbers([w for w, _, _ in split[i]], self.pieces) for i in full]
        (emissions,) = self.session.run(["emissions"], self.feeds(rows))
        found = self.crf.read(emissions[:, :, self.head], [len(r.first) for r in rows])
        for i, chunks in zip(full, found, strict=True):
            entities[i] = [self.entity(texts[i], split[i], *chunk) for chunk in chunks]
        return entities

    def cut(self, text: str) -> list[tuple[str, int, int]]:
        """As many words as the model's window takes."""
        words, room = split_words(text, self.mentions), MAX_PIECES - 2
        for i, (word, _, _) in enumerate(words):
            room -= len(self.pieces.of_word(word))
            if room < 0:
                return words[:i]
        return words

    @staticmethod
    def entity(
        text: str, words: list[tuple[str, int, int]], kind: str, a: int, b: int, confidence: float
    ) -> dict[str, object]:
        start, end = words[a][1], words[b - 1][2]
        surface = text[start:end]
        before, inside = len(text[:start].encode("utf-16-le")) // 2, len(surface.encode("utf-16-le")) // 2
        name = " ".join(unicodedata.normalize("NFKC", surface).lower().split()).lstrip("@# ")
        return {
            "type": kind,
            "text": surface,
            "start": start,
            "end": end,
            "utf16": [before, before + inside],
            "confidence": round(confidence, 4),
            "key": f"{kind.lower()}:{name}",
        }

    def record(self, message: Message, tweet: dict[str, object], entities: list[dict[str, object]]) -> bytes:
        m = self.manifest
        record = {
            "schema": "tweet-entities/1",
            "tweet_id": tweet["id"],
            "text_length": len(str(tweet["text"])),
            "entities": entities,
            "image": {"status": "none", "relevance": None, "cache": None},
            "model": {"family": m["family"], "bundle": m["name"], "version": m["version"], "provider": "cpu"},
            "source": {
                "topic": message.topic(),
                "partition": message.partition(),
                "offset": str(message.offset()),
                "timestamp": iso(message.timestamp()[1] / 1000),
            },
            "processed_at": iso(datetime.now(UTC).timestamp()),
        }
        return json.dumps(record, ensure_ascii=False).encode()


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("brokers", "group", "input", "output", "bundle", "mentions"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, default=32, help="messages in one call of the model")
    args = parser.parse_args()

    model = Model(Path(args.bundle), args.threads, args.mentions)
    model.read(["warm up"])
    producer = Producer({"bootstrap.servers": args.brokers, "linger.ms": 5})
    consumer = Consumer(
        {
            "bootstrap.servers": args.brokers,
            "group.id": args.group,
            "auto.offset.reset": "earliest",
            # Committed in the background, but only what was acknowledged: at least once.
            "enable.auto.offset.store": False,
        }
    )
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    consumer.subscribe([args.input], on_assign=lambda *_: print("The worker is ready.", flush=True))

    failed: list[object] = []

    def delivered(error: object, _: Message) -> None:
        if error is not None:
            failed.append(error)

    while running:
        messages = consumer.consume(args.batch, timeout=0.05)
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
        if not messages:
            continue
        tweets = [json.loads(message.value()) for message in messages]
        for message, tweet, entities in zip(messages, tweets, model.read([t["text"] for t in tweets]), strict=True):
            source = f"{message.topic()}/{message.partition()}/{message.offset()}"
            producer.produce(
                args.output,
                model.record(message, tweet, entities),
                message.key(),
                partition=message.partition(),
                headers={"mner-source": source},
                on_delivery=delivered,
            )
        producer.flush()
        if failed:
            raise KafkaException(failed[0])
        for message in messages:
            consumer.store_offsets(message)
    consumer.close()


if __name__ == "__main__":
    main()

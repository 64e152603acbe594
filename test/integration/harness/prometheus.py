"""The messages that a Prometheus server reads (io.prometheus.client), as far as weir writes them, and a decoder of them which is
Google's. Standard input is checked and printed as text when this is started as a program."""

import sys
from typing import Any, Iterator

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.internal import decoder

MEDIA_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

# Name, number, type, repeated; a type in capitals is another message of this list.
_MESSAGES: dict[str, list[tuple[str, int, str, bool]]] = {
    "LabelPair": [("name", 1, "string", False), ("value", 2, "string", False)],
    "Gauge": [("value", 1, "double", False)],
    "Counter": [("value", 1, "double", False)],
    "Bucket": [("cumulative_count", 1, "uint64", False), ("upper_bound", 2, "double", False)],
    "BucketSpan": [("offset", 1, "sint32", False), ("length", 2, "uint32", False)],
    "Histogram": [("sample_count", 1, "uint64", False), ("sample_sum", 2, "double", False), ("bucket", 3, "Bucket", True),
                  ("schema", 5, "sint32", False), ("zero_threshold", 6, "double", False), ("zero_count", 7, "uint64", False),
                  ("negative_span", 9, "BucketSpan", True), ("negative_delta", 10, "sint64", True),
                  ("positive_span", 12, "BucketSpan", True), ("positive_delta", 13, "sint64", True)],
    "Quantile": [("quantile", 1, "double", False), ("value", 2, "double", False)],
    "Summary": [("sample_count", 1, "uint64", False), ("sample_sum", 2, "double", False), ("quantile", 3, "Quantile", True)],
    "Metric": [("label", 1, "LabelPair", True), ("gauge", 2, "Gauge", False), ("counter", 3, "Counter", False),
               ("summary", 4, "Summary", False), ("histogram", 7, "Histogram", False)],
    "MetricFamily": [("name", 1, "string", False), ("help", 2, "string", False), ("type", 3, "int32", False),
                     ("metric", 4, "Metric", True)],
}
COUNTER, GAUGE, SUMMARY, HISTOGRAM = 0, 1, 2, 4


def _family_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="io.prometheus.client", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            one = message.field.add(name=field, number=number)
            one.label = one.LABEL_REPEATED if repeated else one.LABEL_OPTIONAL
            if kind in _MESSAGES:
                one.type, one.type_name = one.TYPE_MESSAGE, ".io.prometheus.client." + kind
            else:
                one.type = getattr(one, "TYPE_" + kind.upper())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("io.prometheus.client.MetricFamily"))


_FAMILY = _family_class()


def _unknown(message: Any) -> bool:
    if len(message.UnknownFields()) > 0:
        return True
    for field, value in message.ListFields():
        if field.message_type is not None:
            if any(_unknown(one) for one in (value if field.label == field.LABEL_REPEATED else [value])):
                return True
    return False


def families(data: bytes) -> dict[str, Any]:
    """By name; an exception for anything that a scraper would not take, or would not expect."""
    found: dict[str, Any] = {}
    at = 0
    while at < len(data):
        size, at = decoder._DecodeVarint32(data, at)
        if at + size > len(data):
            raise ValueError("the last message is cut off")
        family = _FAMILY.FromString(data[at:at + size])
        at += size
        if family.name in found:
            raise ValueError(family.name + " comes twice")
        if _unknown(family):
            raise ValueError(family.name + " has fields that nobody knows")
        _check(family)
        found[family.name] = family
    return found


def _check(family: Any) -> None:
    member = {COUNTER: "counter", GAUGE: "gauge", SUMMARY: "summary", HISTOGRAM: "histogram"}[family.type]
    seen = set()
    for metric in family.metric:
        if not metric.HasField(member):
            raise ValueError("a series of %s is no %s" % (family.name, member))
        labels = tuple((label.name, label.value) for label in metric.label)
        if labels in seen or len({name for name, _ in labels}) != len(labels):
            raise ValueError("%s: labels come twice: %s" % (family.name, labels))
        seen.add(labels)
        if member == "histogram":
            histogram = metric.histogram
            if histogram.zero_threshold > 0 and sum(count for _, count in native_buckets(histogram)) != histogram.sample_count:
                raise ValueError("%s: the buckets do not make %d" % (family.name, histogram.sample_count))
            counts = [bucket.cumulative_count for bucket in histogram.bucket]
            if counts != sorted(counts) or max(counts, default=0) > histogram.sample_count:
                raise ValueError("%s: counts that fall" % family.name)


def native_buckets(histogram: Any) -> Iterator[tuple[float, int]]:
    """Upper bound and count of each bucket of a native histogram, that of zeros first."""
    yield histogram.zero_threshold, histogram.zero_count
    base = 2.0 ** (2.0 ** -histogram.schema)
    deltas = iter(histogram.positive_delta)
    index, count = 0, 0
    for span in histogram.positive_span:
        index += span.offset
        for _ in range(span.length):
            count += next(deltas)
            if count < 0:
                raise ValueError("a bucket has less than nothing")
            yield base ** index, count
            index += 1
    if next(deltas, None) is not None:
        raise ValueError("more deltas than buckets")


def labels_of(metric: Any) -> dict[str, str]:
    return {label.name: label.value for label in metric.label}


if __name__ == "__main__":
    for one in families(sys.stdin.buffer.read()).values():
        print(text_format.MessageToString(one, as_one_line=True))

"""Every table of options, by tier and client."""

from bpsim.kafka import broker_options, consumer_options, producer_options
from bpsim.kafka.option import Table

TABLES: dict[str, dict[str, Table]] = {
    "producer": producer_options.TABLES,
    "broker": broker_options.TABLES,
    "consumer": consumer_options.TABLES,
}

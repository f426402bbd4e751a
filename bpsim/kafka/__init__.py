"""Kafka's options under their real names: tables by client, `.properties` files, and specs that understand both."""

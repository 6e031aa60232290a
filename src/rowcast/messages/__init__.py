"""messages: the one place that turns records into text for people, for alerts, logs, commands and the store alike.

Everything else exchanges typed records. No other module builds these sentences, and none reads them back.
"""

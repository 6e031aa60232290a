"""Words in names of columns and values, English and German, by which `guess` knows what a column is."""

# Values of a label, and names of one
BAD = (
    *("failed", "failure", "fail", "fails", "defect", "defective", "nok", "scrap", "scrapped", "reject", "rejected"),
    *("bad", "fehler", "ausschuss", "schlecht", "nio", "n.i.o.", "niet ok", "ko", "ng"),
)
OUTCOMES = {*BAD, "ok", "good", "pass", "passed", "gut", "io", "i.o.", "no fail"}
LABEL = (
    *("label", "target", *BAD, "outcome", "y", "pass", "passed", "ok", "good", "result", "verdict", "class"),
    *("ergebnis", "befund", "urteil"),
)

# Keys, lots, tools and people
KEY = {"id", "key", "uuid", "guid", "serial", "no", "nr", "number", "wafer", "barcode", "index"}
GROUP = {"lot", "lots", "lotid", "batch", "cassette", "foup", "coil", "heat", "campaign", "charge", "los"}
TOOL = {
    *("tool", "machine", "equipment", "eqp", "station", "reactor", "furnace", "press", "line", "chamber", "cell"),
    *("maschine", "anlage", "linie", "werkzeug"),
}
PERSON = {
    *("operator", "employee", "worker", "user", "username", "person", "personnel", "staff", "inspector", "badge"),
    *("technician", "email", "phone", "mitarbeiter", "bediener", "werker", "pruefer", "prüfer", "personal"),
}

# Times: of the event, of when its outcome was known, of when the row was written
TIME = {
    *("time", "timestamp", "ts", "date", "datetime", "measured", "measurement", "event", "recorded", "produced"),
    *("processed", "start", "started", "end", "ended", "finished", "created", "at", "epoch"),
    *("zeit", "datum", "zeitstempel"),
}
KNOWN = {
    *("label", "labelled", "labeled", "outcome", "result", "inspected", "inspection", "judged", "known"),
    *("pruefzeit", "prüfzeit", "pruefdatum", "prüfdatum", "geprüft", "geprueft"),
}
WRITTEN = {"updated", "modified", "changed", "inserted", "loaded", "ingested", "deleted", "synced"}

"""The HTTP service: the champion of one or more jobs, behind one port.

protocols/       bodies of each protocol to rows, and answers to bodies
columns.py       what a job's rows may hold
rows.py          rows as they were sent, brought to the batch that data-check takes
scoring.py       rows to an answer, by the same functions as a batch
served_job.py    the champion in memory, taken up anew when another is promoted
application.py   the ASGI callable: routes, who may, limits, what is counted
server.py        uvicorn around it
"""

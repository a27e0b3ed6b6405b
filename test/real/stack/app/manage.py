"""A small app, ill in the way its image says (SICK), with the verbs of a Django project."""
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

VERSION = os.environ["VERSION"]
SICK = os.environ.get("SICK", "")


def say(text):
    print(f"{VERSION}: {text}", flush=True)


def connect():
    import psycopg2

    return psycopg2.connect(os.environ["DATABASE_URL"], connect_timeout=3)


def database_answers():
    if SICK == "database":
        return False
    try:
        with connect() as connection, connection.cursor() as cursor:
            cursor.execute("select 1")
            return cursor.fetchone() == (1,)
    except Exception as error:
        say(f"no database: {error}")
        return False


def redis_answers(command=b"PING\r\n"):
    at = urlparse(os.environ["REDIS_URL"])
    try:
        with socket.create_connection((at.hostname, at.port), timeout=3) as redis:
            redis.sendall(command)
            return redis.recv(64).startswith((b"+", b":"))
    except OSError as error:
        say(f"no redis: {error}")
        return False


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, body):
        data = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def serve(self, received=""):
        asked = urlparse(self.path)
        time.sleep(float(parse_qs(asked.query).get("ms", ["0"])[0]) / 1000)
        if asked.path == "/alive/":
            if SICK == "dies":
                # Healthy first: it is seen, and then it goes.
                threading.Timer(4, lambda: (say("out of luck"), os._exit(4))).start()
            return self.answer(500 if SICK == "unhealthy" else 200, {"alive": SICK != "unhealthy"})
        if asked.path == "/health/":
            # Like TeamMoa's: "healthy" and 200 whatever the database says.
            body = {"status": "healthy", "version": VERSION, "database": database_answers(), "redis": redis_answers()}
            return self.answer(503 if SICK == "503" else 200, body)
        return self.answer(200, {"version": VERSION, "method": self.command, "received": received,
                                 "greeting": os.environ.get("GREETING", "")})

    def do_GET(self):
        self.serve()

    def do_POST(self):
        self.serve(self.rfile.read(int(self.headers.get("content-length", 0))).decode())

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    # Requests that have begun are finished before the process ends.
    daemon_threads = False
    request_queue_size = 128


def serve():
    if SICK == "crash":
        sys.exit("cannot import settings")
    server = Server(("0.0.0.0", 8000), Handler)

    def stop(*_):
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    say("listening")
    server.serve_forever()
    server.server_close()
    say("stopped")


def work(name, every):
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    say(f"{name} started")
    while not ended.wait(every):
        redis_answers(f"INCR {name}\r\n".encode())
    say(f"{name} stopped")


def migrate():
    """Applies what is new, each file in a transaction; how often it was begun is counted outside of it."""
    connection = connect()
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("create table if not exists migration_runs (version text, began timestamptz default now())")
    cursor.execute("create table if not exists applied_migrations (name text primary key, version text)")
    cursor.execute("insert into migration_runs (version) values (%s)", (VERSION,))
    say("migrating")
    connection.autocommit = False
    for name in sorted(os.listdir("migrations")):
        cursor.execute("select 1 from applied_migrations where name = %s", (name,))
        if cursor.fetchone():
            continue
        with open(os.path.join("migrations", name)) as file:
            cursor.execute(file.read())
        cursor.execute("insert into applied_migrations values (%s, %s)", (name, VERSION))
        connection.commit()
        say(f"applied {name}")
    # A migration that takes its time, inside its transaction.
    cursor.execute("select pg_sleep(%s)", (float(os.environ.get("MIGRATION_SECONDS", "0")),))
    if SICK == "migration":
        cursor.execute("alter table no_such_table add column x int")
    connection.commit()
    say("migrated")


def fill(source, target):
    os.makedirs(target, exist_ok=True)
    if source:
        shutil.copytree(source, target, dirs_exist_ok=True)
    with open(os.path.join(target, "version.txt"), "w") as file:
        file.write(f"{VERSION}\n")
    say(f"filled {target}")


verbs = {
    "serve": serve,
    "worker": lambda: work("worker", 1),
    "beat": lambda: work("beat", 1),
    "migrate": migrate,
    "collectstatic": lambda: fill("static", "/srv/static"),
    "frontend": lambda: fill(None, "/srv/frontend"),
}
verbs[sys.argv[1]]()

"""Real ClickHouse servers of the tests' own: Debian's 18.16, one or shards times replicas with a
ZooKeeper, on free loopback ports, in a folder of the test; and a current engine in process.

`chdb` is the engine of a current ClickHouse without a server; a small HTTP server stands before it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVER, ZOOKEEPER_JAR = Path("/usr/sbin/clickhouse-server"), Path("/usr/share/java/zookeeper.jar")
JAVA = Path("/usr/bin/java")
CLUSTER = "flows_cluster"
_START_SECONDS = 120.0

_CONFIG = """<yandex>
<logger><level>warning</level><log>{folder}/server.log</log>
 <errorlog>{folder}/server.err.log</errorlog><size>50M</size><count>1</count></logger>
<http_port>{http}</http_port><tcp_port>{tcp}</tcp_port>
<interserver_http_port>{inter}</interserver_http_port>
<interserver_http_host>127.0.0.1</interserver_http_host><listen_host>127.0.0.1</listen_host>
<max_concurrent_queries>100</max_concurrent_queries><keep_alive_timeout>3</keep_alive_timeout>
<mark_cache_size>67108864</mark_cache_size><path>{folder}/data/</path>
<tmp_path>{folder}/tmp/</tmp_path><users_config>{folder}/users.xml</users_config>
<default_profile>default</default_profile><default_database>default</default_database>
<timezone>{timezone}</timezone><mlock_executable>false</mlock_executable>
{cluster}
<format_schema_path>{folder}/format_schemas/</format_schema_path></yandex>"""
_CLUSTER = """<remote_servers><{name}>{shards}</{name}></remote_servers>
<zookeeper><node index="1"><host>127.0.0.1</host><port>{zookeeper}</port></node>
 <session_timeout_ms>3000</session_timeout_ms></zookeeper>
<macros><shard>{shard:02}</shard><replica>r{number}</replica></macros>
<distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>"""
_USERS = """<yandex><profiles><default><max_memory_usage>4000000000</max_memory_usage>
 <load_balancing>in_order</load_balancing><log_queries>0</log_queries></default></profiles>
<users><default><password></password><networks><ip>127.0.0.1</ip></networks>
 <profile>default</profile><quota>default</quota></default>
 <flows><password>secret pass</password><networks><ip>127.0.0.1</ip></networks>
 <profile>default</profile><quota>default</quota></flows></users>
<quotas><default><interval><duration>3600</duration><queries>0</queries><errors>0</errors>
 <result_rows>0</result_rows><read_rows>0</read_rows><execution_time>0</execution_time>
 </interval></default></quotas></yandex>"""
_ZOOKEEPER = """tickTime=500
dataDir={folder}/data
clientPort={port}
clientPortAddress=127.0.0.1
4lw.commands.whitelist=srvr
admin.enableServer=false
"""


def require_clickhouse(zookeeper: bool = False) -> None:
    """Skip the test where Debian's packages are missing."""
    if not SERVER.exists():
        pytest.skip("needs the Debian package clickhouse-server")
    if zookeeper and not (ZOOKEEPER_JAR.exists() and JAVA.exists()):
        pytest.skip("needs the Debian packages zookeeper and default-jre-headless")


def free_ports(n: int) -> list[int]:
    """Return ports that nobody has now.

    They lie below those that the kernel gives to connections, so that none takes the port of a
    server while it is killed.
    """
    ports: list[int] = []
    while len(ports) < n:
        port = random.randrange(20000, 32768)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            if port not in ports:
                ports.append(port)
    return ports


class ServerProcess:
    """A program that is started, killed and started again."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.command, self.folder = command, folder
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> None:
        """Start it; it may not be ready."""
        with (self.folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, and wait until it is gone."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not killed."""
        return self._process is not None

    def freeze(self) -> None:
        """Let it answer nothing, as if the network were away."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class ClickHouseNode(ServerProcess):
    """One server."""

    def __init__(self, folder: Path, ports: list[int], timezone: str = "UTC") -> None:
        super().__init__([str(SERVER), "--config-file", str(folder / "config.xml")], folder)
        self.http_port, self.tcp_port, self.interserver_port = ports
        self.timezone = timezone

    @property
    def address(self) -> str:
        """Host and port of its HTTP interface."""
        return f"127.0.0.1:{self.http_port}"

    def configure(self, cluster: str = "") -> None:
        """Write its configuration."""
        for name in ("data", "tmp", "format_schemas"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        text = _CONFIG.format(
            folder=self.folder,
            http=self.http_port,
            tcp=self.tcp_port,
            inter=self.interserver_port,
            cluster=cluster,
            timezone=self.timezone,
        )
        (self.folder / "config.xml").write_text(text)
        (self.folder / "users.xml").write_text(_USERS)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.spawn()
        _wait_until(lambda: _answers(f"http://{self.address}/ping"), f"ClickHouse in {self.folder}")

    def ask(self, sql: str, timeout: float = 60.0) -> str:
        """Return what it answers to a statement, within so many seconds."""
        request = urllib.request.Request(f"http://{self.address}/", sql.encode(), method="POST")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return str(answer.read().decode()).strip()


class ClickHouseCluster:
    """Servers of several shards, each with replicas, and a ZooKeeper.

    Attributes
    ----------
    nodes
        Of the first shard, then of the next.
    """

    def __init__(self, folder: Path, n_shards: int = 2, n_replicas: int = 2) -> None:
        n = n_shards * n_replicas
        ports = free_ports(3 * n + 1)
        self.name, self.zookeeper_port = CLUSTER, ports.pop()
        self.n_replicas = n_replicas
        self.nodes = [
            ClickHouseNode(folder / f"node{i + 1}", ports[3 * i : 3 * i + 3]) for i in range(n)
        ]
        shards = [self.nodes[i : i + n_replicas] for i in range(0, n, n_replicas)]
        listed = "".join(
            "<shard><internal_replication>true</internal_replication>"
            + "".join(
                f"<replica><host>127.0.0.1</host><port>{node.tcp_port}</port></replica>"
                for node in shard
            )
            + "</shard>"
            for shard in shards
        )
        for i, node in enumerate(self.nodes):
            node.configure(
                _CLUSTER.format(
                    name=CLUSTER,
                    shards=listed,
                    zookeeper=self.zookeeper_port,
                    shard=i // n_replicas + 1,
                    number=i + 1,
                )
            )
        self._zookeeper_folder = folder / "zookeeper"
        self._zookeeper_folder.mkdir(parents=True)
        configuration = _ZOOKEEPER.format(folder=self._zookeeper_folder, port=self.zookeeper_port)
        (self._zookeeper_folder / "zoo.cfg").write_text(configuration)
        self.zookeeper = ServerProcess(self._zookeeper_command(), self._zookeeper_folder)

    @property
    def addresses(self) -> list[str]:
        """Of all servers."""
        return [node.address for node in self.nodes]

    def shard(self, number: int) -> list[ClickHouseNode]:
        """Return the servers of a shard, from 1."""
        return self.nodes[(number - 1) * self.n_replicas : number * self.n_replicas]

    def start(self) -> None:
        """Start everything, ZooKeeper first."""
        self.start_zookeeper()
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            _wait_until(
                lambda node=node: _answers(f"http://{node.address}/ping"),
                f"ClickHouse in {node.folder}",
            )

    def start_zookeeper(self) -> None:
        """Start ZooKeeper and wait until it serves: 18.16 breaks where its port is open before."""
        self.zookeeper.spawn()
        _wait_until(self._zookeeper_serves, "ZooKeeper")

    def restore(self) -> None:
        """Start again what was killed, and wait until every server has its ZooKeeper."""
        if not self.zookeeper.is_running:
            self.start_zookeeper()
        for node in self.nodes:
            if node.is_running:
                node.thaw()
            else:
                node.start()
        for node in self.nodes:
            _wait_until(lambda node=node: _is_writable(node), f"ClickHouse in {node.folder}")

    def stop(self) -> None:
        """End everything."""
        for node in self.nodes:
            node.kill()
        self.zookeeper.kill()

    def _zookeeper_command(self) -> list[str]:
        return [
            str(JAVA),
            "-Xmx128m",
            "-cp",
            f"{self._zookeeper_folder}:{ZOOKEEPER_JAR}",
            f"-Dzookeeper.log.dir={self._zookeeper_folder}",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            str(self._zookeeper_folder / "zoo.cfg"),
        ]

    def _zookeeper_serves(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.zookeeper_port), 1) as connection:
                connection.sendall(b"srvr")
                return b"Mode:" in connection.recv(4096)
        except OSError:
            return False


@contextlib.contextmanager
def running_server(folder: Path, timezone: str = "UTC") -> Iterator[ClickHouseNode]:
    """A single server of 18.16, as long as the block runs."""
    require_clickhouse()
    node = ClickHouseNode(folder, free_ports(3), timezone)
    node.configure()
    try:
        node.start()
        yield node
    finally:
        node.kill()


@contextlib.contextmanager
def running_cluster(
    folder: Path, n_shards: int = 2, n_replicas: int = 2
) -> Iterator[ClickHouseCluster]:
    """A cluster of 18.16, as long as the block runs."""
    require_clickhouse(zookeeper=True)
    cluster = ClickHouseCluster(folder, n_shards, n_replicas)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


class CurrentEngine(ServerProcess):
    """The engine of a current ClickHouse behind HTTP: `tests/chdb_http.py`."""

    def __init__(self, folder: Path, python: Path) -> None:
        (self.http_port,) = free_ports(1)
        script = Path(__file__).with_name("chdb_http.py")
        super().__init__(
            [str(python), str(script), str(self.http_port), str(folder / "data")], folder
        )

    @property
    def address(self) -> str:
        """Host and port of its HTTP interface."""
        return f"127.0.0.1:{self.http_port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.spawn()
        _wait_until(lambda: _answers(f"http://{self.address}/ping"), "chdb")

    def ask(self, sql: str) -> str:
        """Return what it answers to a statement."""
        request = urllib.request.Request(f"http://{self.address}/", sql.encode(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.read().decode()).strip()


@contextlib.contextmanager
def running_current_engine(folder: Path) -> Iterator[CurrentEngine]:
    """A current engine, where `chdb` can be imported: here, or by the Python in CHDB_PYTHON."""
    python = Path(os.environ.get("CHDB_PYTHON", sys.executable))
    if "CHDB_PYTHON" not in os.environ and importlib.util.find_spec("chdb") is None:
        pytest.skip("needs the package chdb (CHDB_PYTHON names a Python that has it)")
    folder.mkdir(parents=True, exist_ok=True)
    engine = CurrentEngine(folder, python)
    try:
        engine.start()
        yield engine
    finally:
        engine.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.read().startswith(b"Ok"))
    except (OSError, ValueError):
        return False


def _is_writable(node: ClickHouseNode) -> bool:
    try:
        # A server that was frozen may wait for a session of ZooKeeper that is gone.
        return node.ask("SELECT count() FROM system.replicas WHERE is_readonly", 5) == "0" and bool(
            node.ask("SELECT count() FROM system.zookeeper WHERE path = '/'", 5)
        )
    except OSError:
        return False


def _wait_until(is_ready: object, what: str) -> None:
    assert callable(is_ready)
    end = time.monotonic() + _START_SECONDS
    while not is_ready():
        assert time.monotonic() < end, f"{what} does not start"
        time.sleep(0.05)

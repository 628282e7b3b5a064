"""The way Elasticsearch 9.2's own launcher starts the server: JVM flags, and arguments as bytes on standard input.

Doing the same without the launcher leaves one process instead of two, and saves the start of two more JVMs. The
format belongs to the version that packages.lock pins; `tests/faults/processes/test_servers_killed.py` shows it works.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from devstack.servers import jvm

MAIN = "org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch"
_KEYSTORE = "org.elasticsearch.common.settings.KeyStoreWrapper"
_KEYSTORE_FORMAT = 7


def jvm_flags(distribution: Path, temporary: Path, heap: str) -> tuple[str, ...]:
    """The flags the server can't run without, for Java 24 and later, then heap and collector."""
    bridge = next((distribution / "lib" / "entitlement-bridge").glob("*.jar"))
    lucene = "org.apache.lucene.core/org.apache.lucene"
    return (
        f"-Des.path.home={distribution}",
        "-Des.distribution.type=zip",
        "-Des.java.type=ES_JAVA_HOME",
        "-Des.networkaddress.cache.ttl=60",
        "-Des.networkaddress.cache.negative.ttl=10",
        f"-Djava.io.tmpdir={temporary}",
        "-Djava.awt.headless=true",
        "-Djava.locale.providers=CLDR",
        "-Dfile.encoding=UTF-8",
        "-Djna.nosys=true",
        "-Dio.netty.noUnsafe=true",
        "-Dio.netty.noKeySetOptimization=true",
        "-Dio.netty.recycler.maxCapacityPerThread=0",
        "-Dlog4j.shutdownHookEnabled=false",
        "-Dlog4j2.disable.jmx=true",
        "-Dlog4j2.formatMsgNoLookups=true",
        "-Dorg.apache.lucene.vectorization.upperJavaFeatureVersion=25",
        "-Dorg.apache.lucene.store.defaultReadAdvice=normal",
        "-Dorg.apache.lucene.store.MMapDirectory.sharedArenaMaxPermits=1",
        "-Djdk.attach.allowAttachSelf=true",
        "-XX:+EnableDynamicAgentLoading",
        "-XX:-OmitStackTraceInFastThrow",
        "-XX:+ExitOnOutOfMemoryError",
        jvm.CONCURRENT_COLLECTOR,
        "-XX:G1HeapRegionSize=4m",
        "-XX:InitiatingHeapOccupancyPercent=30",
        "-XX:G1ReservePercent=15",
        "-XX:MaxDirectMemorySize=512m",
        "-Xss1m",
        f"-Xms{heap}",
        f"-Xmx{heap}",
        f"--add-opens={lucene}.codecs.lucene99=org.elasticsearch.server",
        f"--add-opens={lucene}.internal.vectorization=org.elasticsearch.server",
        "--enable-native-access=org.elasticsearch.nativeaccess,org.apache.lucene.core",
        "--enable-native-access=ALL-UNNAMED",
        "--illegal-native-access=deny",
        f"--patch-module=java.base={bridge}",
        "--add-exports=java.base/org.elasticsearch.entitlement.bridge="
        "org.elasticsearch.entitlement,java.logging,java.net.http,java.naming,jdk.net",
        f"--module-path={distribution / 'lib'}",
        "--add-modules=jdk.net",
        "--add-modules=jdk.management.agent",
        "--add-modules=ALL-MODULE-PATH",
        "-m",
        MAIN,
    )


def server_arguments(settings: Mapping[str, str], configuration: Path, logs: Path) -> bytes:
    """What the server reads on standard input: flags, an empty keystore, its settings and two folders.

    The server stops when this input ends, so the process that starts it must keep the pipe's writing end open.
    """
    foreground_and_no_pid_file = b"\0\0\0"
    # Format, no password, no data, no entries, not closed.
    keystore = _string(_KEYSTORE) + struct.pack(">i", _KEYSTORE_FORMAT) + b"\0\0" + _length(0) + b"\0"
    entries = b"".join(_string(name) + b"\0" + _string(value) for name, value in sorted(settings.items()))
    folders = _string(str(configuration)) + _string(str(logs))
    return foreground_and_no_pid_file + keystore + _length(len(settings)) + entries + folders


def _length(number: int) -> bytes:
    """A variable-length integer: seven bits a byte, lowest first; the high bit is set if more bytes follow."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _string(text: str) -> bytes:
    """The number of UTF-16 units, then each unit by itself in UTF-8."""
    pairs = text.encode("utf-16-be")
    units = [chr(int.from_bytes(pairs[start : start + 2], "big")) for start in range(0, len(pairs), 2)]
    return _length(len(units)) + "".join(units).encode("utf-8", "surrogatepass")

"""Computes Pachyderm's hash of a file from its content.

Pachyderm cuts a file into chunks where a rolling hash of the content matches a mask. The file's hash is the
BLAKE2b of the chunks' BLAKE2b hashes. This follows src/internal/storage/chunk/chunker.go (ComputeChunks),
fileset/writer.go (Add), fileset/util.go (computeFileHash), and github.com/chmduquesne/rollinghash v4.0.0
(buzhash64). Large files need wasmtime or numpy.

pachd sometimes gives the same file another hash: when the memory of its writer was full (after 500 MB of one
ModifyFile stream, half of STORAGE_MEMORY_THRESHOLD; fileset/unordered_writer.go) within the file's first
SMALL bytes, with no small file in memory by then, or exactly where a chunk ends.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kfp_pachyderm.protocol.compiled_scanner import WINDOW, CompiledScanner, works

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: A smaller file is one chunk (fileset/storage.go, DefaultBatchThreshold). Every chunk of a larger file,
#: except the last, has at least this size.
SMALL = 1_000_000
#: The largest size of a chunk.
LARGEST = 20_000_000
_MASK = (1 << 23) - 1
#: Positions that one numpy call examines.
_BLOCK = 2**16


def can_hash_large_files() -> bool:
    """Tells whether one of the packages is installed that large files need."""
    return works() or find_spec("numpy") is not None


def blake2b(data: bytes | bytearray | memoryview = b"") -> Any:
    """Returns a digest of Pachyderm's hash function (src/internal/pachhash)."""
    return hashlib.blake2b(data, digest_size=32)


def whole(chunks: list[bytes]) -> bytes:
    """Returns the hash of the file whose chunks have these hashes."""
    digest: bytes = blake2b(b"".join(chunks)).digest()
    return digest


def small(content: bytes | memoryview) -> bytes:
    """Returns the hash of a file of less than SMALL bytes. Pachyderm's S3 gateway gives it as the ETag."""
    return whole([blake2b(content).digest()] if content else [])


class FileHash:
    """Computes the hash of a file from pieces of its content. Large pieces are faster.

    Attributes:
        size: bytes of content so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self._cutter = Cutter()
        self._chunks: list[bytes] = []
        self._chunk = blake2b()

    def update(self, data: bytes | memoryview) -> list[int]:
        """Takes the next piece.

        Returns:
            The offsets in the file at which chunks end within this piece.

        Raises:
            ImportError: the file is large, and neither wasmtime nor numpy is installed.
        """
        view, start, before = memoryview(data), 0, self.size
        ends = self._cutter.cuts(view)
        for end in ends:
            self._chunk.update(view[start:end])
            self._chunks.append(self._chunk.digest())
            self._chunk, start = blake2b(), end
        self._chunk.update(view[start:])
        self.size += len(view)
        return [before + end for end in ends]

    def digest(self) -> bytes:
        """Returns the hash of the content so far."""
        # the last chunk may be empty: Pachyderm makes it also when the content ends where a chunk ends
        last = [self._chunk.digest()] if self.size else []
        return whole(self._chunks + last)


class Cutter:
    """Finds where Pachyderm cuts a file into chunks, from pieces of its content."""

    def __init__(self) -> None:
        self._size = 0
        self._tail = b""
        self._scanner: CompiledScanner | _Scanner | None = None

    def cuts(self, data: memoryview) -> list[int]:
        """Returns the positions in the next piece at which a chunk ends.

        Raises:
            ImportError: the file is large, and neither wasmtime nor numpy is installed.
        """
        found, start = list[int](), 0
        while end := self._end(data, start):
            found.append(end)
            self._size, start = 0, end
        self._size += len(data) - start
        self._tail = (self._tail + bytes(data[-WINDOW:]))[-WINDOW:]
        return found

    def _end(self, data: memoryview, start: int) -> int:
        """Returns where the chunk that begins or continues at `start` ends; 0: not in this piece."""
        begin = start - self._size
        longest = begin + LARGEST
        # a chunk has at least SMALL bytes, and ends after LARGEST bytes whatever its rolling hash
        position, last = max(begin + SMALL, start + 1) - 1, min(longest - 1, len(data))
        while position < last:
            scanner = self._scanner = self._scanner or _scanner()
            stop = min(position + scanner.longest, last)
            found = scanner.first(self._window(data, position), data[position:stop])
            if found >= 0:
                return position + found + 1
            position = stop
        return longest if longest <= len(data) else 0

    def _window(self, data: memoryview, position: int) -> bytes:
        """Returns the WINDOW bytes before the position; they exist, since chunks are longer than that."""
        if position >= WINDOW:
            return bytes(data[position - WINDOW : position])
        return (self._tail + bytes(data[:position]))[-WINDOW:]


def _scanner() -> CompiledScanner | _Scanner:
    return CompiledScanner(_values(), _MASK) if works() else _Scanner()


class _Scanner:
    """`CompiledScanner` with numpy, which more images have. Only one thread may use it at a time.

    The rolling hash of a window is the XOR of its bytes' table values, each rotated by the byte's distance
    from the window's end. Here each value is rotated by the byte's position instead. Then one running XOR
    serves all windows, and the mask is rotated to each position.
    """

    #: The most bytes that `first` takes: fewer need more calls, more do not fit into the processor's cache.
    longest = _BLOCK

    def __init__(self) -> None:
        import numpy as np

        self._np = np
        self._table, self._rows, self._masks = _tables()
        self._index = np.empty(WINDOW + _BLOCK, dtype=np.uint16)
        self._sums = np.empty(WINDOW + _BLOCK, dtype=np.uint64)
        self._hashes = np.empty(_BLOCK, dtype=np.uint64)

    def first(self, before: bytes, data: memoryview) -> int:
        """Returns the first position in `data` after whose byte a chunk may end, -1 if there is none.

        Args:
            before: the WINDOW bytes that precede `data`.
            data: at most _BLOCK bytes.
        """
        np, size = self._np, len(data)
        index, sums = self._index[: WINDOW + size], self._sums[: WINDOW + size]
        hashes = self._hashes[:size]
        index[:WINDOW] = np.frombuffer(before, dtype=np.uint8)
        index[WINDOW:] = np.frombuffer(data, dtype=np.uint8)
        index += self._rows[: WINDOW + size]
        # every index is in the table; mode "raise" would buffer the result, and "clip" is slower
        np.take(self._table, index, out=sums, mode="wrap")
        np.bitwise_xor.accumulate(sums, out=sums)
        np.bitwise_xor(sums[WINDOW:], sums[:-WINDOW], out=hashes)
        np.bitwise_and(hashes, self._masks[:size], out=hashes)
        # min() is twice as fast as all()
        return -1 if hashes.min() else int(hashes.argmin())


@cache
def _values() -> bytes:
    """Returns the table's values, each 8 bytes, the lowest first."""
    values = bytes.fromhex(_TABLE)
    return b"".join(values[at : at + 8][::-1] for at in range(0, len(values), 8))


@cache
def _tables() -> tuple[NDArray[np.uint64], NDArray[np.uint16], NDArray[np.uint64]]:
    """Returns the constants of the scanner.

    Returns:
        The table's values by position (modulo the window) and byte; the index of the first value for each
        position; the mask for each position.
    """
    import numpy as np

    table = np.frombuffer(_values(), dtype="<u8").astype(np.uint64)
    # a rotation by 0 would shift left by 64, which numpy leaves undefined, so the first table is not rotated
    turned = [table >> np.uint64(turn) | table << np.uint64(64 - turn) for turn in range(1, WINDOW)]
    masks = [_MASK >> turn | _MASK << (64 - turn) & (2**64 - 1) for turn in range(WINDOW)]
    rows = np.arange(WINDOW + _BLOCK, dtype=np.uint64) % WINDOW * 256
    return (
        np.concatenate([table, *turned]),
        rows.astype(np.uint16),
        np.tile(np.array(masks, dtype=np.uint64), _BLOCK // WINDOW),
    )


#: The table of buzhash64 for seed 1. Go's math/rand generates it, which Python can't do.
_TABLE = (
    "4d65822107fcfd5278629a0f5f3f164f55104dc76695721d380704bb7b4d7c03365a858149c6e2d157e9d1860d1d68d8"
    "0866cb397916001e1408d2ac22c4d2940c697f48392907a0268447a4189deb9941f27cc6f3875d0468255aaf95e94627"
    "1b6cffa2ba51793630b95ff183c471d428b621587cb3ad0b3c04951aa42655d9243a768b7c4e0b6825845c95d4491d1b"
    "56ec3f25256321861bf98be2a9d78d731a02070f169c11212e3108dabb158644490bd268b68e6a3f6e661e92759805f5"
    "2584c47f2cdf5b8a2606cd2b57d292456054502fc5d6d2681a714cf86b83d0e26ec34c367674cb74592e17f7b068d9db"
    "430c8b35bb9457d8039f6f78a15d523b144419db794209ff4dba7b0f9da1d7eb7cd4b7a55a25e0cb0a2b894cf840ec4b"
    "4c22b02936d4ff9b079143f7f4a5ee3b589442fd5ad145f426984b92f6740304162d968d3f71f8cb4542c29291018d7c"
    "45a6e3cafccae22423a62343b186b51f3629d9f17d9e8fbc43ea3b9393f93f33207403def63a5b6f241b3ae419476c36"
    "64f1017fbc897d062e4fa459169873f570b5a315724c7af12607c649581eeb39727a71f52257bb7d0c7964976f269a28"
    "7d0b9ca8be8e998109825e117039374b1c73fac825416fed572d92faded7e4111ee9f7676678e7aa27dff7ab244fcd36"
    "7767830356aa6b865ef4e81ede4561ad6688f8bd3e99b0a85d78399cbed80a3a176a156ae58348b036d467a4af63e58d"
    "72d0a1e9406aec9d57613082c233f0077d4d8e9fa5ead0bd760b0d22050143a60ba08e4b738b68293f1f46e83699caf3"
    "76a780ea967cd7107a3ba6f606f665a62c89c16725fd3d7f586d68260fd6e4795aff01c926fbf29b4829ee0716de4c35"
    "5322787c2bf3394b46a03cb44af864ba60bed31f1cb9e6c633afd3794143908910b92d0169a391447e34179dc34f182d"
    "72bb5389421657ff293a0c2bf9fc65685c4e91e98b02c917528047936c9c64b70af2560383d1790955b4a4b2ea3d4ca5"
    "4fb58fbeaf635d472f5218587fc787691e503382be14186f44841df33539b1ea17f7ae24e91745481e925507c051e18a"
    "5065855807b73658103970a329ec300c2402a18da250bf343485757ea7ed5d9737ab3641fe3dea7950031d27b8b352f7"
    "466b36dbc9b344e94fd269fd8e5f04755d55cb471941e52a6a4eef7a2694763d0010d6326b40eabc5e377ef58485d68b"
    "3332aafe336eacca3fba24704399a3634d4f278a67149b9c346e5f29ae10a90103cc44bf5a5ffefb003e6306563b26de"
    "005d29286f00f02b7539a2019f06397d4b7fafc3545836c4479a2bf931d6416b685f325712f4128d7062b076752f33ff"
    "3aae3e3e4a3056054cd239ea0c8dc214035ca80d72521a906c443faf8eb3e4a11ff5f26283efc6c65225fcd6090ec04f"
    "1facfc5dc1540864163a5aceec2c8aaa4bdb185b70ab53ba683e14a538d3b49458cfb024878d406303e19bf7a317ae3f"
    "4504d6353cb62f077ce2e98ef360412c601900fb4ffbf3a925a1ffb522d554b4606796b83f1904761352ca320796a710"
    "2d89c820f5c353cf6a7cb5cf04f59bb71dac9b582d230176505ce263e2d6a9ce3fcb626c3f1d74270b7fbfbcafd915bb"
    "03398e40b01aa47d323423cfcde2c2694b70e7ac7417bf3876fd839a1e094f9a493a23eb55ece0ea4b56783ccb94539b"
    "34b4a3c813d346b546baf44754e0c0c13eecfdbc6db30e377a9e3bdcdc02b390660aedf1a6e222f50dbeaa0fe2f8c1fe"
    "643a7d712e166bdf32560c7a67588a7410b166a221898f341852fe624c330f1d5eb29c7719af53ba53b7a0ff70658b94"
    "0c97d70a133c9673429bd23a4efeeadd0cc3f10e0f212551136f9ac7070f091409c09a3e6f241c572858bd10f13e41b7"
    "146f70ff3be70cb011a39040f4b6f47f294b4e8e20f31127450064ce6551cb894911aa87289cbd2c41a2d5288946f23d"
    "57930cf840a79c3b5396d24a03c6d9824322cee10365790c53bf1faf0cf525175bb1f57b0bb131e8517d8ebf3da5475c"
    "01a44786139efcca03ed64e9bcd44eb40c8c4694a54af7472f3f0d6fb73c32ed69c93fb09f6c47ac2c80d58fe8ba8f22"
    "2c1283b654043a6620624c583b0a7f201bb55397b4926431470a4f5ae17c02d533770eb58f0d255840d4e552014fbff2"
    "15974b9d7f8035942a6a467079b76fbe69f98c4033fe265659a30874792c8ee8076a20af6b41292d7fe4754afdff9c32"
    "34ad5ac8820932980e4b5ac05948387063efbff5b2d5a1130bca82a42dd96e5a06d8e96f5b8e56a95b7b2709ebd9dda9"
    "2018fa6e04f9ce926ca000e8cb4409507ca82947a67e52b11b35327a49f6d26102c19e7792417fc378fc24541c3b6bd9"
    "0be67230b027b7e052aaab031f765a4127ebdd8f44c9ab40396747c045d991213e5ddb0efd7a84af0a8eb1ac99b75788"
    "55fe7f03e3abff4a33395eafa88aa67f733c374d736e41cc7995c5dc9cbcbe5e28dfd8d37b3ccebc3febdd25e1b7fa93"
    "33415dbd315ae6af0289172b9cced2e25290a23119ea0f2f36df4331a97707222b77e80684a6bfdc7197e13488f03f07"
    "1e3ffa8aa44a03a461ebca0827a6b88504939bb8b580c8ba5d214064018153da501b6a22b648e60441acd9f551180278"
    "0945fcdd893a310f5cb389ac728f5f4c709ec18437f5198b7d275a873cc0ea9b6c7ae37ae39d02db6a85764813883142"
    "1fb95e8cca59939274ea42afc12d154e099ad1bdc176163d6ae4ae6d5c92e2b8508df0dcf9f95ede60390908b802bdfc"
    "50e57d0f8a9285850c68571ddca6e10b01e5dcfd887953e84abb18c948b9e96208cd00c4e533e9a37fc76fad5e0ce6e5"
    "53189b251dba77ae7e23bc6fc8214b8a6adaea4753b428d72a80d0564cf20a65"
)

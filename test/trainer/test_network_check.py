"""The networking checks, ..."""

import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ranks
import torch
import torch.distributed as dist
from conftest import Shared
from hypothesis import given
from hypothesis import strategies as st

from proving_ground.errors import LostWorker, Refused
from proving_ground.nccl import FAMILIES, hidden_by, nccl_environment, settle_environment
from proving_ground.network_check import check_bandwidth, measure_all_reduce
from proving_ground.rendezvous import wait_for_all

RANKS = """
import json, os, sys, time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
import torch
import torch.distributed as dist
from proving_ground.errors import LostWorker, Refused
from proving_ground.network_check import check_bandwidth, measure_all_reduce
from proving_ground.rendezvous import open_store, wait_for_all

out, rank, size = Path(sys.argv[1]), int(os.environ["RANK"]), 3
store = open_store(30)
wait_for_all(store, rank, size, 30, "the start")
dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=30))
group = SimpleNamespace(rank=rank, size=size, device=torch.device("cpu"))
found = {"measured": measure_all_reduce(group, megabytes=1, repeats=3)}
try:
    check_bandwidth(found["measured"], 1e6, "at the start")
except Refused as error:
    found["refused"] = str(error)
order = []
for step in range(3):
    # The order in which ranks leave tells that nobody goes on before the last has come.
    time.sleep(0.05 * rank)
    order.append(store.add("came", 1))
    wait_for_all(store, rank, size, 30, "a step")
    order.append(int(store.add("came", 0)))
    wait_for_all(store, rank, size, 30, "the end of a step")
found["order"] = order
if rank < 2:
    started = time.monotonic()
    try:
        wait_for_all(store, rank, size, 1, "epoch 2")
    except LostWorker as error:
        found |= {"lost": str(error), "seconds": time.monotonic() - started}
(out / f"{rank}.json").write_text(json.dumps(found))
# Rank 0 keeps the store.
while rank == 0 and not (out / "1.json").exists():
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def found_by_rank(shared: Shared) -> list[dict[str, Any]]:
    """What three processes found, of which the last ends before the others meet at epoch 2."""

    def meet(out: Path) -> None:
        code, said = ranks.run([str(out)], 3, out / "log.txt", script=RANKS)
        assert code == 0, said

    out = shared("network", meet)
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(3)]


def test_measures_the_same_bandwidth_on_every_rank(found_by_rank: list[dict[str, Any]]) -> None:
    measured = found_by_rank[0]["measured"]
    assert [found["measured"] for found in found_by_rank] == [measured] * 3
    assert measured["bytes"] == 1_000_000
    expected = 2 * (3 - 1) / 3 * 1_000_000 / measured["seconds"] / 1e9
    assert measured["gigabytes_per_second"] == pytest.approx(expected)


def test_refuses_a_network_below_the_floor_with_both_figures(found_by_rank: list[dict[str, Any]]) -> None:
    measured = found_by_rank[0]["measured"]["gigabytes_per_second"]
    for found in found_by_rank:
        assert found["refused"].startswith(
            f"at the start: an all-reduce of 1 MB runs at {measured:.3g} GB/s, the floor is"
        )
        assert "1e+06 GB/s" in found["refused"]
        assert "FI_PROVIDER" in found["refused"]
    check_bandwidth(found_by_rank[0]["measured"], measured / 2, "at the start")
    check_bandwidth(found_by_rank[0]["measured"], None, "at the start")


def test_lets_nobody_on_before_the_last_has_come_however_often(found_by_rank: list[dict[str, Any]]) -> None:
    orders = [found["order"] for found in found_by_rank]
    for step in range(3):
        assert sorted(order[2 * step] for order in orders) == [3 * step + 1, 3 * step + 2, 3 * step + 3]
        assert [order[2 * step + 1] for order in orders] == [3 * step + 3] * 3


def test_names_the_rank_that_never_comes_on_every_other_rank_in_time(found_by_rank: list[dict[str, Any]]) -> None:
    for found in found_by_rank[:2]:
        assert found["lost"] == "rank 2 of 3 did not arrive within 1 s at epoch 2."
        assert 1 <= found["seconds"] < 10


def test_names_all_that_are_missing() -> None:
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with pytest.raises(LostWorker, match=r"^ranks 0, 1, 3 of 4 did not arrive within 0\.1 s at the start\.$"):
        wait_for_all(store, 2, 4, 0.1, "the start")


KEEPER = """
import sys, time
from pathlib import Path
from torch.distributed import TCPStore
store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
place = Path(sys.argv[1])
place.with_suffix(".part").write_text(str(store.port))
place.with_suffix(".part").rename(place)
time.sleep(60)
"""


def test_says_that_the_store_is_gone_with_its_process(tmp_path: Path) -> None:
    keeper = ranks.start([str(tmp_path / "port")], 1, tmp_path / "log.txt", script=KEEPER)
    while not (tmp_path / "port").exists():
        assert not keeper.has_ended(), keeper.log.read_text()
        time.sleep(0.01)
    store = dist.TCPStore("127.0.0.1", int((tmp_path / "port").read_text()), is_master=False)
    os.kill(keeper.pids[0], signal.SIGKILL)
    assert keeper.wait() == (-signal.SIGKILL, "")
    with pytest.raises(LostWorker, match="rank 1 lost the job's store at the start"):
        wait_for_all(store, 1, 2, 5, "the start")


def test_asks_nothing_of_one_process() -> None:
    group = SimpleNamespace(rank=0, size=1, device=torch.device("cpu"))
    assert measure_all_reduce(group) is None
    check_bandwidth(None, 100, "at the start")
    wait_for_all(None, 0, 1, 0, "the start")
    assert nccl_environment("ml.p4d.24xlarge", 1) == {}


SAFE = {"NCCL_DEBUG": "WARN", "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1"}
ON_EC2 = SAFE | {"NCCL_SOCKET_IFNAME": "^lo,docker,veth"}
EFA = ON_EC2 | {"FI_PROVIDER": "efa", "FI_EFA_USE_HUGE_PAGE": "0"}


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        ("ml.p4d.24xlarge", EFA | {"FI_EFA_USE_DEVICE_RDMA": "1"}),
        ("p4de.24xlarge", EFA | {"FI_EFA_USE_DEVICE_RDMA": "1"}),
        ("ml.p5.48xlarge", EFA | {"FI_EFA_USE_DEVICE_RDMA": "1"}),
        ("ml.p5en.48xlarge", EFA),
        ("ml.p6-b200.48xlarge", EFA),
        ("ml.g5.12xlarge", EFA),
        ("ml.g6e.48xlarge", EFA),
        ("ml.p3.16xlarge", ON_EC2),
        ("ml.trn1.32xlarge", SAFE),
        ("ml.p9.48xlarge", SAFE),
        ("workstation", SAFE),
        ("", SAFE),
        (None, SAFE),
    ],
)
def test_sets_what_fits_the_family(instance: str | None, expected: dict[str, str]) -> None:
    assert nccl_environment(instance, 8) == expected


def test_leaves_what_the_user_has_set() -> None:
    environment = {"NCCL_DEBUG": "INFO", "NCCL_SOCKET_IFNAME": "eth0", "PATH": "/bin"}
    assert settle_environment("ml.p4d.24xlarge", 8, environment) == []
    expected = nccl_environment("ml.p4d.24xlarge", 8) | {"NCCL_DEBUG": "INFO", "NCCL_SOCKET_IFNAME": "eth0"}
    assert environment == {**expected, "PATH": "/bin"}


HIDING = [
    ("NCCL_NET", "Socket", "takes NCCL's own network instead of EFA's plugin"),
    ("NCCL_NET_PLUGIN", "none", "loads no plugin for EFA, so that collectives go by TCP"),
    ("NCCL_IB_DISABLE", "1", "is meant for machines without a fast network"),
    ("FI_PROVIDER", "tcp", "hides EFA, so that collectives go by TCP"),
    ("FI_PROVIDER", "^efa", "hides EFA, so that collectives go by TCP"),
    ("FI_EFA_USE_DEVICE_RDMA", "0", "turns RDMA off, so that data go through the processors' memory"),
    ("NCCL_SOCKET_IFNAME", "lo", "leaves no interface that reaches other machines"),
    ("NCCL_SOCKET_IFNAME", "=lo,docker0", "leaves no interface that reaches other machines"),
    ("NCCL_SOCKET_IFNAME", "^e", "leaves no interface that reaches other machines"),
]


@pytest.mark.parametrize(("name", "value", "why"), HIDING)
def test_says_what_hides_efa_and_leaves_it_to_the_user(name: str, value: str, why: str) -> None:
    environment = {name: value}
    assert settle_environment("ml.p4d.24xlarge", 8, environment) == [
        f"{name}={value} on ml.p4d.24xlarge {why}: unset it."
    ]
    assert environment[name] == value
    # Where there is no EFA nothing is hidden.
    assert settle_environment("ml.p3.16xlarge", 8, {name: value}) == []
    assert settle_environment(None, 8, {name: value}) == []
    assert settle_environment("ml.p4d.24xlarge", 1, {name: value}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FI_PROVIDER", "efa"),
        ("FI_PROVIDER", "efa,tcp"),
        ("FI_PROVIDER", "^tcp"),
        ("NCCL_NET", "AWS Libfabric"),
        ("NCCL_NET_PLUGIN", "/opt/amazon/ofi-nccl/lib/libnccl-net.so"),
        ("NCCL_IB_DISABLE", "0"),
        ("NCCL_SOCKET_IFNAME", "^docker,lo"),
        ("NCCL_SOCKET_IFNAME", "en"),
    ],
)
def test_takes_what_leaves_efa_in_sight(name: str, value: str) -> None:
    assert settle_environment("ml.p4d.24xlarge", 8, {name: value}) == []


def test_takes_rdma_off_where_gpus_have_none() -> None:
    assert settle_environment("ml.g6e.48xlarge", 8, {"FI_EFA_USE_DEVICE_RDMA": "0"}) == []


def test_names_the_variable_that_replaced_the_old_one() -> None:
    said = settle_environment(None, 2, {"NCCL_ASYNC_ERROR_HANDLING": "1"})
    assert said == ["NCCL_ASYNC_ERROR_HANDLING is deprecated: set TORCH_NCCL_ASYNC_ERROR_HANDLING."]
    assert all("NCCL_ASYNC_ERROR_HANDLING" not in nccl_environment(f"{name}.xlarge", 2) for name in FAMILIES)


USED = ("NCCL_NET", "NCCL_NET_PLUGIN", "NCCL_IB_DISABLE", "FI_PROVIDER", "FI_EFA_USE_DEVICE_RDMA", "NCCL_SOCKET_IFNAME")
VALUES = (
    "",
    "0",
    "1",
    "Socket",
    "IB",
    "none",
    "tcp",
    "efa",
    "^efa",
    "^tcp",
    "lo",
    "^lo",
    "=lo",
    "eth0",
    "^docker",
    "no",
)


@given(
    st.sampled_from(sorted(FAMILIES)),
    st.dictionaries(st.sampled_from([*USED, "NCCL_DEBUG", "HOME"]), st.sampled_from(VALUES)),
)
def test_never_hides_efa_itself_and_never_silently(name: str, user: dict[str, str]) -> None:
    environment = dict(user)
    said = settle_environment(f"ml.{name}.48xlarge", 8, environment)
    hiding = {key for key, value in environment.items() if hidden_by(key, value.strip().lower(), name) is not None}
    assert hiding <= set(user)
    assert user.items() <= environment.items()
    has_efa = "FI_PROVIDER" in nccl_environment(f"ml.{name}.48xlarge", 8)
    assert {sentence.partition("=")[0] for sentence in said} == (hiding if has_efa else set())


def test_refuses_only_below_the_floor() -> None:
    measured = {"gigabytes_per_second": 10.0, "seconds": 0.01, "bytes": 64_000_000}
    check_bandwidth(measured, 10.0, "at the start")
    with pytest.raises(Refused, match=r"an all-reduce of 64 MB runs at 10 GB/s, the floor is 10\.1 GB/s"):
        check_bandwidth(measured, 10.1, "at the start")

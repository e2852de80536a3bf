"""The rules of Pod Security's "restricted" profile, which holds those of "baseline".

From the table of Kubernetes' documentation, "Pod Security Standards", for Linux. Compared once with the pods
of k8s.io/pod-security-admission v0.34.4 (v1.34): the same answer for the 129 that are not of Windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
_SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(pod: dict[str, Any]) -> list[str]:
    """What of a pod's spec breaks the profile.

    Args:
        pod: metadata and spec of a pod or of a pod template.
    """
    return [*_of_pod(pod), *(f"{one['name']}: {text}" for one in _containers(pod) for text in _of(one, pod))]


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return [one for kind in kinds for one in pod["spec"].get(kind) or ()]


def _of_pod(pod: dict[str, Any]) -> Iterator[str]:
    spec, annotations = pod["spec"], pod.get("metadata", {}).get("annotations") or {}
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield name
    for volume in spec.get("volumes") or ():
        if not set(volume) - {"name"} <= _VOLUMES:
            yield f"volume {volume['name']}"
    for one in (spec.get("securityContext") or {}).get("sysctls") or ():
        if one["name"] not in _SYSCTLS:
            yield f"sysctl {one['name']}"
    for name, value in annotations.items():
        allowed = value in ("", "runtime/default") or value.startswith("localhost/")
        if name.startswith("container.apparmor.security.beta.kubernetes.io/") and not allowed:
            yield f"AppArmor {value}"
    yield from _of_context(spec.get("securityContext") or {})


def _of(container: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    own, shared = container.get("securityContext") or {}, pod["spec"].get("securityContext") or {}
    both = {**shared, **{name: value for name, value in own.items() if value is not None}}
    added = (own.get("capabilities") or {}).get("add") or []
    dropped = (own.get("capabilities") or {}).get("drop") or []
    checks = {
        "privileged": bool(own.get("privileged")),
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
        "runAsNonRoot": both.get("runAsNonRoot") is not True,
        "seccompProfile": (both.get("seccompProfile") or {}).get("type") not in _SECCOMP,
        "capabilities": "ALL" not in dropped or not set(added) <= {"NET_BIND_SERVICE"},
        "procMount": own.get("procMount") not in (None, "Default"),
        "hostPort": any(port.get("hostPort") for port in container.get("ports") or ()),
        "probe's host": any(_hosts(container)),
    }
    yield from (name for name, broken in checks.items() if broken)
    yield from _of_context(own)


def _of_context(context: dict[str, Any]) -> Iterator[str]:
    """Checks the fields that pods and containers have in common."""
    selinux, windows = context.get("seLinuxOptions") or {}, context.get("windowsOptions") or {}
    checks = {
        "runAsUser": context.get("runAsUser") == 0,
        "runAsNonRoot": context.get("runAsNonRoot") is False,
        "hostProcess": bool(windows.get("hostProcess")),
        "seLinuxOptions": selinux.get("type", "") not in _SELINUX
        or bool(selinux.get("user") or selinux.get("role")),
        "appArmorProfile": (context.get("appArmorProfile") or {}).get("type") == "Unconfined",
        "seccompProfile": (context.get("seccompProfile") or {"type": "RuntimeDefault"})["type"]
        not in _SECCOMP,
    }
    yield from (name for name, broken in checks.items() if broken)


def _hosts(container: dict[str, Any]) -> Iterator[str]:
    probes = ["livenessProbe", "readinessProbe", "startupProbe"]
    hooks = list((container.get("lifecycle") or {}).values())
    for handler in [*(container.get(name) or {} for name in probes), *hooks]:
        for kind in ("httpGet", "tcpSocket"):
            yield (handler.get(kind) or {}).get("host", "")

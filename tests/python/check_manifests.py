"""Checks rendered manifests for what no schema knows: that they fit the program, and ask for no rights.

* every variable of the pods is one that the program's help names for that subcommand;
* pods get more time to end than the program takes for its handover;
* the probes ask the paths and the port where the program answers;
* pods meet the `restricted` Pod Security Standard, have a read-only root file system and no token.
"""

import argparse
import re
import subprocess
import sys

import yaml

# Read by libraries, not flags.
OTHER_VARIABLES = {"POD_NAME"}
UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text):
    """Reads `30s`, `1m`, `1h30m`."""
    parts = re.findall(r"(\d+)([smh])", text)
    if "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not like 30s")
    return sum(int(number) * UNITS[unit] for number, unit in parts)


def known_variables(binary, subcommand):
    """The environment variables that the help of a subcommand names."""
    said = subprocess.run([binary, subcommand, "--help"], check=True, capture_output=True, text=True, timeout=30)
    return set(re.findall(r"\[env: (\w+)=", said.stdout))


def environment(container, config_maps):
    """The variables of a container; None for a value that is not in the manifests."""
    values = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            values |= config_maps[source["configMapRef"]["name"]]
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("configMapKeyRef")
        values[variable["name"]] = config_maps[reference["name"]][reference["key"]] if reference else variable.get("value")
    return values


def check(workload, config_maps, binary):
    """Yields what is wrong with a StatefulSet or Job."""
    spec = workload["spec"]["template"]["spec"]
    pod = spec.get("securityContext", {})
    if pod.get("runAsNonRoot") is not True or pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the pod may run as root, or without a seccomp profile"
    if spec.get("automountServiceAccountToken") is not False:
        yield "the pod gets a token of its service account"
    for container in spec["containers"]:
        name = container["name"]
        rights = container.get("securityContext", {})
        if (
            rights.get("allowPrivilegeEscalation") is not False
            or rights.get("readOnlyRootFilesystem") is not True
            or rights.get("capabilities", {}).get("drop") != ["ALL"]
        ):
            yield f"{name}: more rights than it needs"
        if "memory" not in container["resources"]["limits"] or "cpu" not in container["resources"]["requests"]:
            yield f"{name}: no limit of memory, or no request of CPU"
        if not re.search(r":\d", container["image"]):
            yield f"{name}: image {container['image']} is not pinned to a version"
        subcommand = container["args"][0]
        values = environment(container, config_maps)
        for unknown in sorted(set(values) - known_variables(binary, subcommand) - OTHER_VARIABLES):
            yield f"{name}: `{subcommand}` has no flag for the variable {unknown}"
        if subcommand != "run":
            continue
        grace, handover = spec.get("terminationGracePeriodSeconds", 30), seconds(values["HANDOVER_TIMEOUT"])
        if grace <= handover:
            yield f"{name}: killed after {grace} s, but a handover may take {handover} s"
        port = int(values["HTTP"].rpartition(":")[2])
        if [port] != [port["containerPort"] for port in container["ports"]]:
            yield f"{name}: the container's port is not {port}"
        for probe, path in (("livenessProbe", "/livez"), ("startupProbe", "/livez"), ("readinessProbe", "/readyz")):
            asked = container[probe]["httpGet"]
            if (asked["path"], asked["port"]) != (path, container["ports"][0]["name"]):
                yield f"{name}: {probe} does not ask {path}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="the program, for its help")
    parser.add_argument("file", help="rendered manifests")
    args = parser.parse_args()
    with open(args.file, encoding="utf-8") as file:
        documents = [document for document in yaml.safe_load_all(file) if document]
    config_maps = {item["metadata"]["name"]: item["data"] for item in documents if item["kind"] == "ConfigMap"}
    workloads = [item for item in documents if item["kind"] in ("StatefulSet", "Deployment", "Job")]
    problems = [
        f"{workload['kind']} {workload['metadata']['name']}: {problem}"
        for workload in workloads
        for problem in check(workload, config_maps, args.binary)
    ]
    if not workloads:
        problems.append("there is nothing that runs")
    for problem in problems:
        print(f"{args.file}: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

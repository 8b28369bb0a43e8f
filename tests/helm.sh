#!/usr/bin/env bash
# Tests the Helm chart with helm: lints it, renders it, checks the rendered objects, and checks that invalid values are
# refused. Requires helm (3.18 or later, whose schema errors the tests match), kubeconform, and python3 (3.11 or later) with
# kubernetes-validate, which tests/install.sh installs; no cluster and no network.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
chart=helm/outflow
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

find_helm() {
  for candidate in "${HELM:-}" "$(command -v helm || true)" "$(go env GOPATH 2>/dev/null || true)/bin/helm" "$HOME/go/bin/helm"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
  # shellcheck disable=SC2016
  echo 'helm is missing: go install helm.sh/helm/v3/cmd/helm@latest (or set $HELM)' >&2
  return 1
}
helm=$(find_helm)
command -v python3 >/dev/null || { echo 'python3 is missing: apt-get install python3' >&2; exit 1; }
command -v kubeconform >/dev/null || { echo 'kubeconform is missing: run tests/install.sh' >&2; exit 1; }

passed=0
failed=0
ok() { passed=$((passed + 1)); }
bad() {
  failed=$((failed + 1))
  echo "FAILED: $1"
  [ -z "${2:-}" ] || sed 's/^/    /' <<<"$2" | head -20
}
template() { "$helm" template rel "$chart" --namespace outflow "$@"; }
sqlite=(-f "$chart/ci/sqlite-values.yaml")
postgresql=(-f "$chart/ci/postgresql-values.yaml")
maximal=(-f "$chart/ci/maximal-values.yaml")
runners=(-f "$chart/ci/runners-values.yaml")
mtls=(-f "$chart/ci/mtls-values.yaml")

# helm converts YAML to JSON, one document per line, because python3 has no YAML parser without packages.
mkdir -p "$work/json/templates"
printf 'apiVersion: v2\nname: json\nversion: 0.0.0\n' >"$work/json/Chart.yaml"
cat >"$work/json/templates/json.yaml" <<'EOF'
{{- range splitList "\n---\n" (.Files.Get "in.yaml") }}
{{- with fromYaml . }}
---
{{ toJson . }}
{{- end }}
{{- end }}
EOF
to_json() { cat >"$work/json/in.yaml" && "$helm" template json "$work/json" | grep '^{'; }

cat >"$work/check.py" <<'EOF'
"""Evaluates an expression over the rendered objects: `check.py objects.json EXPRESSION`."""
import json
import re
import sys
import tomllib

docs = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]


def many(kind):
    return [d for d in docs if d.get("kind") == kind]


def one(kind, end=""):
    """Returns the object whose name has that ending; by default the one of the server, if there are several."""
    found = [d for d in many(kind) if d["metadata"]["name"].endswith(end)]
    if not end and len(found) > 1:
        found = [d for d in found if d["metadata"]["labels"]["app.kubernetes.io/component"] == "server"]
    assert len(found) == 1, f"{len(found)} objects of kind {kind} ending in {end!r}"
    return found[0]


def pod(kind="Deployment", end=""):
    return one(kind, end)["spec"]["template"]["spec"]


def server(end=""):
    return pod(end=end)["containers"][0]


def env(kind="Deployment", end=""):
    """Returns the environment as Kubernetes sets it: `$$` in a value is `$`."""
    return {e["name"]: e.get("value", "").replace("$$", "$") for e in pod(kind, end)["containers"][0]["env"]}


def mounts(end=""):
    return {m["mountPath"]: m for m in server(end)["volumeMounts"]}


def volume(name, kind="Deployment", end=""):
    return next(v for v in pod(kind, end)["volumes"] if v["name"] == name)


def egress(end=""):
    """Returns the ranges of the policy's egress rules with their ports; None: every port."""
    rules = one("NetworkPolicy", end)["spec"]["egress"]
    ports = lambda rule: [p["port"] for p in rule["ports"]] if "ports" in rule else None
    return {p["ipBlock"]["cidr"]: ports(rule) for rule in rules for p in rule["to"] if "ipBlock" in p}


def selected(selector, labels):
    return selector.items() <= labels.items()


VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def insecure():
    """Returns the violations of the restricted pod security standard, and of further rules of this chart, in pod templates."""
    found = []
    templates = [d for d in docs if "template" in d.get("spec", {})]
    assert templates, "no pod template"
    for d in templates:
        spec = d["spec"]["template"]["spec"]
        own = spec.get("securityContext", {})
        report = lambda what, d=d: found.append(f"{d['kind']}: {what}")
        for host in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(host):
                report(host)
        if own.get("sysctls"):
            report("sysctls")
        if spec.get("automountServiceAccountToken") is not False:
            report("automountServiceAccountToken")
        for v in spec.get("volumes", []):
            if not set(v) - {"name"} <= VOLUMES:
                report(f"volume {v['name']}")
        for c in spec["containers"] + spec.get("initContainers", []):
            ctx = c.get("securityContext", {})
            if ctx.get("runAsNonRoot", own.get("runAsNonRoot")) is not True:
                report(f"{c['name']}: runAsNonRoot")
            if ctx.get("runAsUser", own.get("runAsUser")) == 0:
                report(f"{c['name']}: runAsUser")
            if ctx.get("seccompProfile", own.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
                report(f"{c['name']}: seccompProfile")
            if ctx.get("privileged"):
                report(f"{c['name']}: privileged")
            if ctx.get("allowPrivilegeEscalation") is not False:
                report(f"{c['name']}: allowPrivilegeEscalation")
            if ctx.get("readOnlyRootFilesystem") is not True:
                report(f"{c['name']}: readOnlyRootFilesystem")
            if "ALL" not in ctx.get("capabilities", {}).get("drop", []):
                report(f"{c['name']}: capabilities.drop")
            if not set(ctx.get("capabilities", {}).get("add", [])) <= {"NET_BIND_SERVICE"}:
                report(f"{c['name']}: capabilities.add")
            if ctx.get("procMount", "Default") != "Default":
                report(f"{c['name']}: procMount")
            if any(p.get("hostPort") for p in c.get("ports", [])):
                report(f"{c['name']}: hostPort")
            if any("secretKeyRef" in e.get("valueFrom", {}) for e in c.get("env", [])) or c.get("envFrom"):
                report(f"{c['name']}: a secret in the environment")
    return found


def leaves(value, path=""):
    """Yields the paths of values that an operator sets. Lists and empty maps are one value."""
    if isinstance(value, dict) and value and not path.endswith(("resources", "ecurityContext", "persistence.annotations")):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path


def table(readme="helm/outflow/README.md"):
    """Returns the names and the descriptions of the values in README.md."""
    return dict(re.findall(r"^\| `([^`]+)` \| .*? \| (.*) \|$", open(readme, encoding="utf-8").read(), re.M))


def comments(values="helm/outflow/values.yaml"):
    """Returns the names and the comments of the values in values.yaml."""
    found, keys, comment = {}, [], None
    for line in open(values, encoding="utf-8"):
        match = re.match(r"( *)([A-Za-z]+):", line)
        if line.strip().startswith("# -- "):
            comment = line.strip().removeprefix("# -- ")
        elif match:
            keys = keys[: len(match[1]) // 2] + [match[2]]
            if comment:
                found[".".join(keys)] = comment
            comment = None
    return found


result = eval(sys.argv[2])
if result is not True:
    print(f"{sys.argv[2]} = {result!r}")
    sys.exit(1)
EOF

# expect NAME EXPRESSION HELM-ARGUMENTS…: checks that the expression is true for the rendered objects.
expect() {
  local name=$1 expression=$2 out
  shift 2
  if out=$( (template "$@" | to_json >"$work/objects" && python3 "$work/check.py" "$work/objects" "$expression") 2>&1); then
    ok
  else
    bad "$name" "$out"
  fi
}

# refuse NAME REASON HELM-ARGUMENTS…: checks that helm fails with an error that matches the regular expression REASON.
refusals=0
refuse() {
  local name=$1 reason=$2 out
  shift 2
  refusals=$((refusals + 1))
  if out=$(template "$@" 2>&1 >/dev/null); then
    bad "not refused: $name"
  elif grep -Eq -- "$reason" <<<"$out"; then
    ok
  else
    bad "refused for another reason: $name" "$out"
  fi
}

## Each file in ci/

for values in "$chart"/ci/*-values.yaml; do
  if out=$("$helm" lint --strict "$chart" -f "$values" 2>&1); then ok; else bad "lint $values" "$out"; fi
  if out=$(template -f "$values" 2>&1 >"$work/first"); then ok; else bad "template $values" "$out"; fi
  template -f "$values" >"$work/second"
  if cmp -s "$work/first" "$work/second"; then ok; else bad "$values: two renderings differ"; fi
  expect "$values: pod security" 'insecure() == []' -f "$values"
  expect "$values: every document is an object" 'all(d.get("apiVersion") and d.get("kind") for d in docs)' -f "$values"
  expect "$values: the chart creates no Secret" 'many("Secret") == []' -f "$values"
  expect "$values: names have at most 63 characters" 'all(len(d["metadata"]["name"]) <= 63 for d in docs)' -f "$values"
  expect "$values: all objects are in one namespace" '{d["metadata"]["namespace"] for d in docs} == {"outflow"}' -f "$values"
  expect "$values: names are unique" 'len({(d["kind"], d["metadata"]["name"]) for d in docs}) == len(docs)' -f "$values"
  expect "$values: every mount has a volume" 'all({m["name"] for m in c["volumeMounts"]} == {v["name"] for v in d["spec"]["template"]["spec"]["volumes"]} for d in many("Deployment") + many("Job") for c in d["spec"]["template"]["spec"]["containers"][:1])' -f "$values"
  expect "$values: selectors match the pods" 'all(selected(s["spec"]["selector"], one("Deployment")["spec"]["template"]["metadata"]["labels"]) for s in many("Service")) and all([o for o in many("Deployment") if selected(o["spec"]["selector"]["matchLabels"], d["spec"]["template"]["metadata"]["labels"])] == [d] for d in many("Deployment"))' -f "$values"
  expect "$values: the metadata address is not reachable" 'not any("169.254.169.254" in str(p) or p.get("ipBlock", {}).get("cidr") == "0.0.0.0/0" and "169.254.0.0/16" not in p["ipBlock"].get("except", []) for n in many("NetworkPolicy") for e in n["spec"]["egress"] for p in e["to"])' -f "$values"
done
# The check of pod security can fail.
expect "pod security reports a writable root file system" 'insecure() == ["Deployment: outflow: readOnlyRootFilesystem"]' "${sqlite[@]}" --set securityContext.readOnlyRootFilesystem=false
expect "pod security reports a host path" 'insecure() == ["Deployment: volume host"]' "${sqlite[@]}" --set 'extraVolumes[0].name=host,extraVolumes[0].hostPath.path=/etc'

## SQLite

expect "sqlite: one pod with the strategy Recreate" 'one("Deployment")["spec"]["replicas"] == 1 and one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}' "${sqlite[@]}"
expect "sqlite: the claim is kept after uninstall" 'volume("data")["persistentVolumeClaim"]["claimName"] == one("PersistentVolumeClaim")["metadata"]["name"] and one("PersistentVolumeClaim")["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"' "${sqlite[@]}"
expect "sqlite: an existing claim is used" 'many("PersistentVolumeClaim") == [] and volume("data")["persistentVolumeClaim"]["claimName"] == "mine"' "${sqlite[@]}" --set persistence.existingClaim=mine
expect "sqlite: the server migrates the schema" 'env()["OUTFLOW_MIGRATE"] == "auto" and many("Job") == [] and many("PodDisruptionBudget") == [] and "OUTFLOW_DATABASE_URL_FILE" not in env()' "${sqlite[@]}"
expect "sqlite: zero replicas are allowed" 'one("Deployment")["spec"]["replicas"] == 0' "${sqlite[@]}" --set replicas=0

## PostgreSQL

expect "postgresql: a rolling update keeps all pods available" 'one("Deployment")["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}' "${postgresql[@]}"
expect "postgresql: there is no claim" 'many("PersistentVolumeClaim") == [] and volume("data")["emptyDir"] == {}' "${postgresql[@]}"
expect "postgresql: the URL is mounted as a file" 'env()["OUTFLOW_DATABASE_URL_FILE"] == "/etc/outflow/database/url" and mounts()["/etc/outflow/database"]["readOnly"] and volume("database")["secret"]["items"] == [{"key": "url", "path": "url"}]' "${postgresql[@]}"
expect "postgresql: pods are spread over nodes and zones" '[c["topologyKey"] for c in pod()["topologySpreadConstraints"]] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"] and all(selected(c["labelSelector"]["matchLabels"], one("Deployment")["spec"]["template"]["metadata"]["labels"]) for c in pod()["topologySpreadConstraints"])' "${postgresql[@]}"
expect "postgresql: there is a PodDisruptionBudget" 'one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1 and one("PodDisruptionBudget")["spec"]["selector"] == one("Deployment")["spec"]["selector"]' "${postgresql[@]}"
expect "postgresql: the labelSelector of a topology spread constraint is kept" 'pod()["topologySpreadConstraints"][1]["labelSelector"] == {"matchLabels": {"team": "data-platform"}} and "matchLabelKeys" not in pod()["topologySpreadConstraints"][1]' "${maximal[@]}"

## Migrations

expect "pods wait for the schema, which a Job without hook migrates" 'env()["OUTFLOW_MIGRATE"] == "check" and pod("Job")["containers"][0]["args"] == ["migrate", "up"] and "annotations" not in one("Job")["metadata"]' "${postgresql[@]}"
expect "an unverified database is permitted to the server and the Job" 'env()["OUTFLOW_DATABASE_ALLOW_UNVERIFIED"] == env("Job")["OUTFLOW_DATABASE_ALLOW_UNVERIFIED"] == "true"' "${postgresql[@]}" --set database.allowUnverified=true
expect "the Job mounts the database URL and no key" 'set(env("Job")) == {"OUTFLOW_DATABASE_URL_FILE", "OUTFLOW_LOG", "OUTFLOW_LOG_FORMAT"} and {v["name"] for v in pod("Job")["volumes"]} == {"tmp", "database"} and volume("database", "Job") == volume("database")' "${postgresql[@]}"
expect "no Service selects the pods of the Job" 'not any(selected(s["spec"]["selector"], one("Job")["spec"]["template"]["metadata"]["labels"]) for s in many("Service")) and not selected(one("Deployment")["spec"]["selector"]["matchLabels"], one("Job")["spec"]["template"]["metadata"]["labels"])' "${postgresql[@]}"
expect "migrations.hook makes the Job a hook without a ServiceAccount" 'one("Job")["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade" and "serviceAccountName" not in pod("Job")' "${postgresql[@]}" --set migrations.hook=true
expect "a hook uses an existing ServiceAccount" 'pod("Job")["serviceAccountName"] == "mine" and many("ServiceAccount") == []' "${postgresql[@]}" --set migrations.hook=true,serviceAccount.create=false,serviceAccount.name=mine
expect "migrations.enabled=false renders no Job" 'many("Job") == [] and env()["OUTFLOW_MIGRATE"] == "check" and len(many("NetworkPolicy")) == 1' "${postgresql[@]}" --set migrations.enabled=false
job_name() { template "${postgresql[@]}" "$@" | grep -o 'name: rel-outflow-migrate-.*'; }
if [ "$(job_name)" != "$(job_name --set image.tag=0.1.1)" ]; then ok; else bad "another image must change the name of the Job"; fi
if [ "$(job_name)" = "$(job_name --set replicas=5)" ]; then ok; else bad "more replicas must not change the name of the Job"; fi
if grep -q -- 'migrate-1-' <<<"$(job_name)"; then ok; else bad "the name of the Job must contain the revision"; fi

## Exports

expect "runs: the pods that serve the API run exports" 'env()["OUTFLOW_RUNS"] == "on" and len(many("Deployment")) == 1' "${sqlite[@]}"
expect "runs.enabled=false: no pod runs exports" 'env()["OUTFLOW_RUNS"] == "off" and len(many("Deployment")) == 1' "${postgresql[@]}" --set runs.enabled=false
expect "runs: all limits and timeouts are set" '{k: v for k, v in env().items() if k.startswith(("OUTFLOW_RUN_", "OUTFLOW_ENGINE_"))} == {"OUTFLOW_RUN_MAX_CONCURRENT": "4", "OUTFLOW_RUN_MAX_CONCURRENT_PER_ORGANIZATION": "12", "OUTFLOW_RUN_MAX_CONCURRENT_PER_CONNECTION_TYPE": "6", "OUTFLOW_RUN_MAX_ATTEMPTS": "5", "OUTFLOW_RUN_RETRY_DELAY": "1m", "OUTFLOW_RUN_MAX_DURATION": "6h", "OUTFLOW_RUN_DRAIN_TIMEOUT": "2m", "OUTFLOW_RUN_LEASE": "60s", "OUTFLOW_RUN_HEARTBEAT": "5s", "OUTFLOW_RUN_RETENTION_DAYS": "30", "OUTFLOW_ENGINE_THREADS": "2", "OUTFLOW_ENGINE_MEMORY_MIB": "64"}' "${runners[@]}"
expect "runs: the number of threads is left to the server" '"OUTFLOW_ENGINE_THREADS" not in env()' "${sqlite[@]}"
expect "runs: numbers are written out" 'env()["OUTFLOW_RUN_MAX_CONCURRENT"] == "4000000" and env()["OUTFLOW_ENGINE_MEMORY_MIB"] == "1000000"' "${sqlite[@]}" --set runs.maxConcurrent=4000000,runs.engineMemoryMib=1000000
expect "runners: they alone run exports, otherwise configured as the API" 'len(many("Deployment")) == 2 and {k: (v, env(end="-runner")[k]) for k, v in env().items() if v != env(end="-runner")[k]} == {"OUTFLOW_RUNS": ("off", "on"), "OUTFLOW_ENGINE_THREADS": ("2", "4"), "OUTFLOW_ENGINE_MEMORY_MIB": ("64", "1024")} and env().keys() == env(end="-runner").keys() and pod()["volumes"] == pod(end="-runner")["volumes"] and server()["image"] == server("-runner")["image"]' "${runners[@]}"
expect "runners: the engine settings are those of runs by default" 'env(end="-runner")["OUTFLOW_ENGINE_MEMORY_MIB"] == "64" and env(end="-runner")["OUTFLOW_ENGINE_THREADS"] == "2"' "${runners[@]}" --set runner.engineMemoryMib=null,runner.engineThreads=null
expect "runners: replicas of their own" '[one("Deployment", e)["spec"]["replicas"] for e in ("", "-runner")] == [2, 3]' "${runners[@]}"
expect "runners: the autoscaler scales the API only" '"replicas" not in one("Deployment")["spec"] and one("Deployment", "-runner")["spec"]["replicas"] == 2 and one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == one("Deployment")["metadata"]["name"]' "${maximal[@]}" --set runner.enabled=true
expect "runners: no Service, but probes and the admin port" 'not any(selected(s["spec"]["selector"], one("Deployment", "-runner")["spec"]["template"]["metadata"]["labels"]) for s in many("Service")) and all(server("-runner")[p] == server()[p] for p in ("startupProbe", "livenessProbe", "readinessProbe", "ports"))' "${runners[@]}"
expect "runners: only the admin port may be reachable" '[i["ports"] for i in one("NetworkPolicy", "-runner")["spec"]["ingress"] or []] == [[{"port": "admin"}]]' "${runners[@]}" --set-json 'networkPolicy.adminFrom=[{"namespaceSelector":{}}]'
expect "runners: a PodDisruptionBudget for each Deployment" 'all(one("PodDisruptionBudget", e)["spec"]["selector"] == one("Deployment", e)["spec"]["selector"] for e in ("", "-runner"))' "${runners[@]}"
expect "runners: pods are spread" 'all(selected(c["labelSelector"]["matchLabels"], one("Deployment", "-runner")["spec"]["template"]["metadata"]["labels"]) for c in pod(end="-runner")["topologySpreadConstraints"])' "${runners[@]}"
expect "memory follows the budget of the engine" 'server()["resources"] == {"requests": {"cpu": "100m", "memory": "384Mi"}, "limits": {"memory": "1024Mi"}}' "${sqlite[@]}"
expect "memory follows a larger budget of the engine" 'server()["resources"] == {"requests": {"cpu": "100m", "memory": "2176Mi"}, "limits": {"memory": "2816Mi"}}' "${sqlite[@]}" --set runs.engineMemoryMib=2048
expect "memory: each Deployment has its own" '[server(e)["resources"] for e in ("", "-runner")] == [{"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"memory": "576Mi"}}, {"requests": {"cpu": "2", "memory": "1152Mi"}, "limits": {"memory": "1.5Gi"}}]' "${runners[@]}"
for memory in 512Mi 0.5Gi 536870912 536870912000m 5.4e8 537M; do
  expect "memory: a limit of $memory is enough" 'float(re.match("[0-9.e]+", str(server()["resources"]["limits"]["memory"]))[0]) > 0' "${sqlite[@]}" --set-string "resources.limits.memory=$memory"
done

## Datasets, local directories, outbound connections

expect "datasets: nothing is set or mounted by default" 'not any("DATASET" in k or "OUTBOUND" in k or "LOCAL" in k for k in env()) and {v["name"] for v in pod()["volumes"]} == {"tmp", "data", "keys", "tls"}' "${sqlite[@]}"
expect "datasets: sources" 'env()["OUTFLOW_DATASET_LOCATION"] == "s3://exports-data/datasets?region=eu-central-1" and env()["OUTFLOW_DATASET_SOURCES"] == "acme=/srv/outflow/datasets/acme,globex=postgres://reader@warehouse.example.com/globex"' "${runners[@]}"
expect "datasets: credentials are mounted as a file" 'env()["OUTFLOW_DATASET_OPTIONS_FILE"] == "/etc/outflow/datasets/options.toml" and mounts()["/etc/outflow/datasets"]["readOnly"] and volume("dataset-options")["secret"] == {"secretName": "outflow-datasets", "defaultMode": 0o440, "items": [{"key": "sources.toml", "path": "options.toml"}]}' "${runners[@]}"
expect "datasets: the claim is mounted read-only" 'mounts("-runner")["/srv/outflow/datasets"]["readOnly"] and volume("datasets", end="-runner")["persistentVolumeClaim"] == {"claimName": "datasets"}' "${runners[@]}"
expect "datasets: a directory on an extra volume" 'env()["OUTFLOW_DATASET_LOCATION"] == "/srv/exports/data"' "${maximal[@]}" --set datasets.location=/srv/exports/data
expect "datasets: a directory on the volume of SQLite" 'env()["OUTFLOW_DATASET_LOCATION"] == "/var/lib/outflow/tables"' "${sqlite[@]}" --set datasets.location=/var/lib/outflow/tables
expect "local directories: the claim is mounted writable in all pods" 'all(env(end=e)["OUTFLOW_LOCAL_DIRECTORY_ROOT"] == "/srv/outflow/exports" and "readOnly" not in mounts(e)["/srv/outflow/exports"] and volume("exports", end=e)["persistentVolumeClaim"] == {"claimName": "exports"} for e in ("", "-runner"))' "${runners[@]}"
expect "outbound: certificate authorities of a ConfigMap" 'env()["OUTFLOW_OUTBOUND_CA_FILE"] == "/etc/outflow/outbound/ca.crt" and mounts()["/etc/outflow/outbound"]["readOnly"] and volume("outbound-ca")["configMap"] == {"name": "platform-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}' "${runners[@]}"
expect "outbound: certificate authorities of a Secret" 'volume("outbound-ca")["secret"] == {"secretName": "ca", "defaultMode": 0o440, "items": [{"key": "bundle.pem", "path": "ca.crt"}]} and "OUTFLOW_OUTBOUND_CA_FILE" in env()' "${sqlite[@]}" --set outbound.ca.existingSecret=ca,outbound.ca.key=bundle.pem
expect "outbound: permitted addresses" 'env()["OUTFLOW_OUTBOUND_ALLOWED"] == "*=10.20.0.0/16:443,acme=10.1.2.3,acme=[fd00:1::/32]:5432,globex=fd00:2::1"' "${runners[@]}"
expect "outbound: the NetworkPolicies permit these addresses" 'all({r: egress(e)[r] for r in ("10.20.0.0/16", "10.1.2.3/32", "fd00:1::/32", "fd00:2::1/128", "10.30.0.0/24")} == {"10.20.0.0/16": [443], "10.1.2.3/32": None, "fd00:1::/32": [5432], "fd00:2::1/128": None, "10.30.0.0/24": None} for e in ("outflow", "-runner"))' "${runners[@]}"
expect "deliveries: public addresses on three ports" 'egress()["0.0.0.0/0"] == egress()["2000::/3"] == [22, 443, 5432]' "${sqlite[@]}"
expect "deliveries: private addresses are excluded" '{"10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"} <= set(next(p["ipBlock"]["except"] for r in one("NetworkPolicy")["spec"]["egress"] for p in r["to"] if p.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"))' "${sqlite[@]}"
expect "deliveries: other ports" 'egress()["198.51.100.0/24"] == [8443] and "0.0.0.0/0" not in egress()' "${sqlite[@]}" --set-json 'networkPolicy.deliveries=[{"cidr":"198.51.100.0/24","ports":[8443]}]'

## Probes, ports, termination

expect "grpc probes use the admin port" '[server()[p]["grpc"] for p in ("startupProbe", "livenessProbe", "readinessProbe")] == [{"port": 50052, "service": "liveness"}] * 2 + [{"port": 50052}] and env()["OUTFLOW_ADMIN_LISTEN"] == "[::]:50052"' "${postgresql[@]}"
expect "no Service exposes the admin port" 'all(p["targetPort"] == "grpc" for s in many("Service") for p in s["spec"]["ports"])' "${maximal[@]}"
expect "the headless Service has no cluster IP" 'one("Service", "-headless")["spec"]["clusterIP"] == "None"' "${postgresql[@]}"
expect "headlessService.enabled=false renders no headless Service" 'len(many("Service")) == 1' "${postgresql[@]}" --set headlessService.enabled=false
expect "termination: grace period and preStop sleep" 'pod()["terminationGracePeriodSeconds"] == 55 and server()["lifecycle"]["preStop"]["sleep"]["seconds"] == 5' "${postgresql[@]}"
expect "preStopSleepSeconds=0 renders no preStop" '"lifecycle" not in server() and pod()["terminationGracePeriodSeconds"] == 45' "${postgresql[@]}" --set preStopSleepSeconds=0,terminationGracePeriodSeconds=45
expect "termination: without runs" 'pod()["terminationGracePeriodSeconds"] == 40' "${postgresql[@]}" --set runs.enabled=false
expect "termination: a long drain" 'pod()["terminationGracePeriodSeconds"] == 3635' "${postgresql[@]}" --set runs.drainTimeout=1h
expect "termination: a short drain" 'pod()["terminationGracePeriodSeconds"] == 40' "${postgresql[@]}" --set runs.drainTimeout=1s
expect "termination: of runners" '[pod(end=e)["terminationGracePeriodSeconds"] for e in ("", "-runner")] == [40, 150] and "lifecycle" not in server("-runner") and "lifecycle" in server()' "${runners[@]}"
expect "termination: of runners, configured" '[pod(end=e)["terminationGracePeriodSeconds"] for e in ("", "-runner")] == [40, 600]' "${runners[@]}" --set runner.terminationGracePeriodSeconds=600

## Identity, TLS, keys, configuration

expect "the identity mode is jwt" 'env()["OUTFLOW_IDENTITY_MODE"] == "jwt" and env()["OUTFLOW_JWT_PRINCIPAL_PREFIX"] == ""' "${postgresql[@]}"
expect "mtls: no setting of tokens" '{k: v for k, v in env().items() if "JWT" in k or "MTLS" in k} == {"OUTFLOW_MTLS_CLIENT_CA_FILE": "/etc/outflow/client-ca/ca.crt", "OUTFLOW_MTLS_CLIENTS_FILE": "/etc/outflow/clients/clients.toml", "OUTFLOW_MTLS_PRINCIPAL_PREFIX": "workload:"} and env()["OUTFLOW_IDENTITY_MODE"] == "mtls"' "${mtls[@]}"
expect "mtls: nothing is set or mounted in mode jwt" 'not any("MTLS" in k for k in env()) and not {"client-ca", "clients"} & {v["name"] for v in pod()["volumes"]}' "${sqlite[@]}"
expect "mtls: authorities of a Secret and the clients of the values" 'volume("client-ca")["secret"] == {"secretName": "workload-ca", "defaultMode": 0o440, "items": [{"key": "ca.crt", "path": "ca.crt"}]} and volume("clients")["configMap"] == {"name": one("ConfigMap", "-clients")["metadata"]["name"]}' "${mtls[@]}"
expect "mtls: authorities and clients of ConfigMaps" 'volume("client-ca")["configMap"] == {"name": "workload-ca", "items": [{"key": "bundle.pem", "path": "ca.crt"}]} and volume("clients")["configMap"] == {"name": "workloads", "items": [{"key": "table.toml", "path": "clients.toml"}]} and not any(c["metadata"]["name"].endswith("-clients") for c in many("ConfigMap"))' "${maximal[@]}"
expect "mtls: with tokens" 'env()["OUTFLOW_IDENTITY_MODE"] == "jwt,mtls" and env()["OUTFLOW_JWT_PRINCIPAL_PREFIX"] == "platform:" and env()["OUTFLOW_MTLS_PRINCIPAL_PREFIX"] == "workload:"' "${maximal[@]}"
expect "mtls: files are mounted in directories, so that pods see changes" 'all(mounts(e)[p]["readOnly"] and "subPath" not in mounts(e)[p] for e in ("", "-runner") for p in ("/etc/outflow/client-ca", "/etc/outflow/clients", "/etc/outflow/tls"))' "${mtls[@]}"
expect "mtls: the Job mounts the database URL only" '{v["name"] for v in pod("Job")["volumes"]} == {"tmp", "database"} and not any("MTLS" in k for k in env("Job"))' "${mtls[@]}"
expect "mtls: the table of clients is TOML" 'tomllib.loads(one("ConfigMap", "-clients")["data"]["clients.toml"]) == {"spiffe://example.org/ns/data/sa/loader": {"organization": "acme", "subject": "loader", "roles": ["contributor"], "groups": ["marketing"]}, "spiffe://example.org/ns/ops/sa/console": {"organization": "acme", "subject": "console", "roles": ["admin"]}}' "${mtls[@]}"
expect "mtls: names of clients are escaped in TOML" 'tomllib.loads(one("ConfigMap", "-clients")["data"]["clients.toml"])["spiffe://example.org/a\"b"] == {"organization": "acme", "subject": "a\\b\"\n[x] é"}' "${mtls[@]}" --set-json 'identity.mtls.clients.table={"spiffe://example.org/a\"b":{"organization":"acme","subject":"a\\b\"\n[x] é"}}'
expect "mtls: the probes need no client certificate" 'all(server(e)[p]["grpc"]["port"] == 50052 for e in ("", "-runner") for p in ("startupProbe", "livenessProbe", "readinessProbe")) and env()["OUTFLOW_ADMIN_LISTEN"].endswith(":50052")' "${mtls[@]}"
expect "TLS is mounted from a Secret" 'env()["OUTFLOW_TLS_KEY_FILE"] == "/etc/outflow/tls/tls.key" and "OUTFLOW_PLAINTEXT" not in env() and volume("tls")["secret"]["secretName"] == "outflow-tls"' "${sqlite[@]}"
expect "tls.plaintext sets OUTFLOW_PLAINTEXT" 'env()["OUTFLOW_PLAINTEXT"] == "behind-tls" and "OUTFLOW_TLS_KEY_FILE" not in env()' "${postgresql[@]}"
expect "keys are mounted from a Secret" 'env()["OUTFLOW_KEY_DIR"] == "/etc/outflow/keys" and env()["OUTFLOW_PRIMARY_KEY"] == "k0001" and volume("keys")["secret"] == {"secretName": "outflow-keys", "defaultMode": 0o440}' "${sqlite[@]}"
expect "the key set is mounted from a ConfigMap" 'env()["OUTFLOW_JWT_JWKS_FILE"] == "/etc/outflow/jwks/jwks.json" and "OUTFLOW_JWT_JWKS_URL" not in env() and volume("jwks")["configMap"]["items"] == [{"key": "keys.json", "path": "jwks.json"}]' "${maximal[@]}"
expect "the configuration is rendered unchanged" 'one("ConfigMap", "-config")["data"]["outflow.toml"].startswith("# Comments and quotes \" stay as they are.\naudit_retention_days") and env()["OUTFLOW_CONFIG"] == "/etc/outflow/config/outflow.toml"' "${maximal[@]}"
expect "the catalog is mounted from a ConfigMap" 'list(one("ConfigMap", "-catalog")["data"]) == ["acme-crm.toml"] and env()["OUTFLOW_CATALOG_DIR"] == "/etc/outflow/catalog"' "${maximal[@]}"
# The binary accepts the configuration and the catalog that the chart mounts.
binary=${BINARY:-${CARGO_TARGET_DIR:-target}/debug/outflow}
[ -x "$binary" ] || cargo build --locked --quiet
mkdir "$work/config" "$work/catalog"
template "${maximal[@]}" | to_json >"$work/objects"
python3 - "$work" <<'EOF'
import json
import pathlib
import sys

work = pathlib.Path(sys.argv[1])
for line in open(work / "objects", encoding="utf-8"):
    found = json.loads(line)
    for folder in ("config", "catalog"):
        if found["kind"] == "ConfigMap" and found["metadata"]["name"].endswith("-" + folder):
            for name, text in found["data"].items():
                (work / folder / name).write_text(text, encoding="utf-8")
EOF
config_check() { env OUTFLOW_CATALOG_DIR="$work/catalog" "$binary" config check --config "$work/config/outflow.toml"; }
if out=$(config_check 2>&1); then ok; else bad "the binary must accept configuration and catalog" "$out"; fi
# The binary accepts the settings of exports. Those that name files need the files.
template "${runners[@]}" | to_json >"$work/objects"
settings() { python3 "$work/check.py" "$work/objects" '[print(f"{k}={v}") for k, v in env(end="-runner").items() if re.match("OUTFLOW_(RUN|ENGINE|DATASET_(LOCATION|SOURCES)|OUTBOUND_ALLOWED)", k)] != []' && echo OUTFLOW_LOCAL_DIRECTORY_ROOT=/srv; }
mapfile -t exported < <(settings)
if [ "${#exported[@]}" -ge 16 ] && out=$(env "${exported[@]}" "$binary" config check 2>&1); then ok; else bad "the binary must accept the settings of exports" "${out:-}"; fi
if out=$(env "${exported[@]}" OUTFLOW_RUN_HEARTBEAT=21s "$binary" config check 2>&1); then bad "the binary must refuse a heartbeat that is too long"; else ok; fi
sed -i 's/^display_name/title/' "$work/catalog/acme-crm.toml"
if out=$(config_check 2>&1); then bad "the binary must refuse a malformed catalog"; else ok; fi
checksum() { template "${maximal[@]}" "$@" | grep checksum/config; }
if [ "$(checksum)" != "$(checksum --set config='a = 1')" ]; then ok; else bad "another configuration must change the checksum of the pods"; fi
# The binary accepts each identity mode that the chart renders.
for mode in sqlite mtls maximal; do
  template -f "$chart/ci/$mode-values.yaml" | to_json >"$work/objects"
  mapfile -t identity < <(python3 "$work/check.py" "$work/objects" '[print(f"{k}={v}") for k, v in env().items() if re.match("OUTFLOW_(LISTEN|ADMIN_LISTEN|IDENTITY|JWT|MTLS|TLS)", k)] != []')
  if [ "${#identity[@]}" -ge 7 ] && out=$(env "${identity[@]}" "$binary" config check 2>&1); then ok; else bad "the binary must accept the identity of $mode" "${out:-}"; fi
done
# A change of the table of clients reaches running pods, so it does not restart them.
deployments() { template "${mtls[@]}" "$@" | to_json | grep '"kind":"Deployment"'; }
if [ "$(deployments)" = "$(deployments --set 'identity.mtls.clients.table.spiffe://example\.org/new.organization=acme,identity.mtls.clients.table.spiffe://example\.org/new.subject=new')" ]; then ok; else bad "another client must not change the pods"; fi

## Autoscaling, image, NetworkPolicy, labels, extra objects

expect "the autoscaler sets the number of pods" '"replicas" not in one("Deployment")["spec"] and one("HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 9 and one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == one("Deployment")["metadata"]["name"]' "${maximal[@]}"
expect "the digest is part of the image" 'server()["image"].split("@")[1].startswith("sha256:") and pod("Job")["containers"][0]["image"] == server()["image"]' "${maximal[@]}"
expect "NetworkPolicies select the pods of the server and of the Job" 'all(any(selected(n["spec"]["podSelector"]["matchLabels"], d["spec"]["template"]["metadata"]["labels"]) and set(n["spec"]["policyTypes"]) == {"Ingress", "Egress"} for n in many("NetworkPolicy")) for k in ("Deployment", "Job") for d in many(k))' "${runners[@]}"
expect "the admin port is closed by default" '[i["ports"] for i in one("NetworkPolicy")["spec"]["ingress"]] == [[{"port": "grpc"}]]' "${sqlite[@]}"
expect "the Job may connect to DNS and the database only" 'len(one("NetworkPolicy", "-migrations")["spec"]["egress"]) == 2 and all(p["port"] in (53, 5432) for e in one("NetworkPolicy", "-migrations")["spec"]["egress"] for p in e["ports"]) and "ingress" not in one("NetworkPolicy", "-migrations")["spec"]' "${postgresql[@]}"
expect "networkPolicy.enabled=false renders no NetworkPolicy" 'many("NetworkPolicy") == []' "${postgresql[@]}" --set networkPolicy.enabled=false
expect "networkPolicy.deliveries can be empty" 'len(one("NetworkPolicy")["spec"]["egress"]) == 1' "${sqlite[@]}" --set-json networkPolicy.deliveries='[]'
expect "networkPolicy.to: peers on every port" 'one("NetworkPolicy")["spec"]["egress"][-1] == {"to": [{"ipBlock": {"cidr": "10.30.0.0/24"}}]}' "${runners[@]}"
expect "labels and annotations are set on every object" 'all(d["metadata"]["labels"]["team"] == "data-platform" and d["metadata"]["annotations"]["example.com/owner"] == "data-platform" for d in docs if not d["metadata"]["name"].endswith("-extra"))' "${maximal[@]}"
expect "labels do not override selectors" 'one("Service", "outflow")["spec"]["selector"]["app.kubernetes.io/name"] == "outflow" and one("Deployment")["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] == "outflow"' "${sqlite[@]}" --set 'labels.app\.kubernetes\.io/name=other'
expect "templates in extra objects are rendered" 'one("ConfigMap", "-extra")["data"] == {"release": "rel"} and one("ConfigMap", "-extra")["metadata"]["name"] == "exports-extra"' "${maximal[@]}"
expect "extra environment, mounts and containers are rendered" 'env()["OUTFLOW_TRACES_ENDPOINT"] == "http://collector:4317" and "/srv/exports" in mounts() and [c["name"] for c in pod()["containers"]] == ["outflow", "sidecar"]' "${maximal[@]}"
long=a.release-name-that-is-as-long-as-helm-allows-it-to-b
if "$helm" template "$long" "$chart" "${postgresql[@]}" | to_json >"$work/objects" &&
  python3 "$work/check.py" "$work/objects" 'all(re.fullmatch("[a-z][a-z0-9-]{0,62}", d["metadata"]["name"]) for d in docs) and len({d["metadata"]["name"] for d in many("Service")}) == 2'; then ok; else bad "names are valid with the longest release name"; fi

## NOTES.txt, which helm renders on install only. The tests render it as a template in a copy of the chart.

cp -r "$chart" "$work/notes"
{
  echo '{{- define "notes" }}'
  cat "$chart/templates/NOTES.txt"
  printf '{{- end }}\napiVersion: v1\nkind: Notes\nmetadata: {name: notes}\ntext: {{ include "notes" . | toJson }}\n'
} >"$work/notes/templates/notes.yaml"
notes() {
  local name=$1 expression=$2
  shift 2
  if "$helm" template rel "$work/notes" --namespace outflow "$@" | to_json >"$work/objects" && python3 "$work/check.py" "$work/objects" "$expression"; then ok; else bad "$name"; fi
}
notes "notes: grpcurl and database connections" '"grpcurl -plaintext -import-path" in one("Notes")["text"] and "3 pods × 23 = 69, plus 1 × 23 during an update" in one("Notes")["text"]' "${postgresql[@]}"
notes "notes: a token" '"set $TOKEN to a token of https://id.example.com and run" in one("Notes")["text"] and "-H \"authorization: Bearer $TOKEN\" localhost:50051 " in one("Notes")["text"] and "-cert " not in one("Notes")["text"]' "${sqlite[@]}"
notes "notes: a client certificate" '"grpcurl -cacert ca.crt -authority rel-outflow.outflow.svc " in one("Notes")["text"] and " -cert client.crt -key client.key localhost:50051 " in one("Notes")["text"] and "TOKEN" not in one("Notes")["text"]' "${mtls[@]}"
notes "notes: a token or a client certificate" '"Bearer $TOKEN" in one("Notes")["text"] and "replace the option -H by -cert client.crt -key client.key" in one("Notes")["text"]' "${maximal[@]}"
notes "notes: database connections with autoscaling" '"9 pods × 23 = 207, plus 25% of that during an update" in one("Notes")["text"]' "${maximal[@]}"
notes "notes: database connections with runners" '"(2 + 3) pods × 23 = 115, plus 2 × 23 during an update" in one("Notes")["text"] and "run in the Deployment rel-outflow-runner;" in one("Notes")["text"]' "${runners[@]}"
notes "notes: no runs" '"runs.enabled is false" in one("Notes")["text"]' "${postgresql[@]}" --set runs.enabled=false
notes "notes: sqlite" '"rel-outflow-data" in one("Notes")["text"] and "-cacert ca.crt" in one("Notes")["text"]' "${sqlite[@]}"

## Documentation and schema

to_json <"$chart/values.yaml" >"$work/values"
if python3 "$work/check.py" "$work/values" 'set(leaves(docs[0])) == set(table())'; then ok; else bad "the table in README.md must list the values of values.yaml"; fi
if python3 "$work/check.py" "$work/values" 'sorted(table().items() ^ comments().items()) == []'; then ok; else bad "the descriptions in README.md must be the comments in values.yaml"; fi
if python3 - "$chart/values.schema.json" <<'EOF'; then ok; else bad "the schema must refuse unknown keys"; fi
import json
import sys

# Maps whose keys the operator or Kubernetes defines.
FREE = {"podSecurityContext", "securityContext", "seccompProfile", "capabilities", "extraVolumes", "extraVolumeMounts",
        "initContainers", "extraContainers", "extraObjects", "podLabels", "then", "if"}


def walk(node, path):
    if isinstance(node, dict):
        if "properties" in node and node.get("additionalProperties") is not False and not FREE & set(path):
            yield "/".join(path)
        for key, inner in node.items():
            yield from walk(inner, path + [key])


found = list(walk(json.load(open(sys.argv[1], encoding="utf-8")), []))
print(*found, sep="\n", end="\n" if found else "")
sys.exit(bool(found))
EOF
uncommented=$(awk '/^ *[a-zA-Z]+:/ { if (previous !~ /# -- / && $2 != "") print FILENAME ": " $0 } { previous = $0 }' "$chart/values.yaml" |
  grep -vE ':  +(cpu|memory|cidr|topologyKey|whenUnsatisfiable|run[A-Z][A-Za-z]+|fsGroup[A-Za-z]*|type: RuntimeDefault|allowPrivilegeEscalation|readOnlyRootFilesystem|helm\.sh)' || true)
if [ -z "$uncommented" ]; then ok; else bad "every value must have a comment" "$uncommented"; fi

## Refusals

refuse "nothing set" 'keys.existingSecret is required'
refuse "nothing set: all errors are reported at once" 'tls requires exactly one'
refuse "an unknown key" "additional properties 'replicaCount' not allowed" "${sqlite[@]}" --set replicaCount=1
# shellcheck source-path=SCRIPTDIR
source tests/helm/platforms.sh
# shellcheck source-path=SCRIPTDIR
source tests/helm/identity.sh
refuse "an unknown key of a section" "at '/image': additional properties 'registry' not allowed" "${sqlite[@]}" --set image.registry=x
refuse "an unknown nested key" "at '/identity/jwt': additional properties 'secret' not allowed" "${sqlite[@]}" --set identity.jwt.secret=x
refuse "a password in values" "at '/database': additional properties 'password' not allowed" "${postgresql[@]}" --set database.password=x
refuse "two pods on SQLite" "at '/replicas': maximum: got 2, want 1" "${sqlite[@]}" --set replicas=2
refuse "an autoscaler on SQLite" "at '/autoscaling/enabled': value must be false" "${sqlite[@]}" --set autoscaling.enabled=true
refuse "a shared file system for SQLite" "at '/persistence/accessModes/0': value must be one of" "${sqlite[@]}" --set 'persistence.accessModes[0]=ReadWriteMany'
refuse "an unknown database" "at '/database/type': value must be one of" "${sqlite[@]}" --set database.type=mysql
refuse "PostgreSQL without its Secret" 'database.existingSecret is required' "${postgresql[@]}" --set database.existingSecret=
refuse "SQLite with a database Secret" 'database.existingSecret is set, but database.type is sqlite' "${sqlite[@]}" --set database.existingSecret=x
refuse "PostgreSQL with a claim" 'persistence.existingClaim is set, but' "${postgresql[@]}" --set persistence.existingClaim=x
refuse "no keys" 'keys.existingSecret is required' "${sqlite[@]}" --set keys.existingSecret=
refuse "no primary key" 'keys.primary is required' "${sqlite[@]}" --set keys.primary=
refuse "a primary key that is a path" "at '/keys/primary': '../x' does not match pattern" "${sqlite[@]}" --set keys.primary=../x
refuse "development identity" "at '/identity/mode': value must be one of 'jwt', 'mtls', 'jwt,mtls'" "${sqlite[@]}" --set identity.mode=development
refuse "identity modes in another order" "at '/identity/mode': value must be one of" "${maximal[@]}" --set 'identity.mode=mtls\,jwt'
refuse "client certificates behind a mesh" 'identity.mode mtls requires tls.existingSecret' "${mtls[@]}" --set tls.existingSecret=,tls.plaintext=behind-tls
refuse "tokens and client certificates behind a mesh" 'identity.mode mtls requires tls.existingSecret' "${maximal[@]}" --set tls.existingSecret=,tls.plaintext=behind-tls
refuse "client certificates of no authority" 'identity.mtls.ca requires exactly one of' "${mtls[@]}" --set identity.mtls.ca.existingSecret=
refuse "client certificates of two sets of authorities" 'identity.mtls.ca requires exactly one of' "${mtls[@]}" --set identity.mtls.ca.existingConfigMap=x
refuse "no clients" 'identity.mtls.clients requires exactly one of' "${maximal[@]}" --set identity.mtls.clients.existingConfigMap=
refuse "two tables of clients" 'identity.mtls.clients requires exactly one of' "${mtls[@]}" --set identity.mtls.clients.existingConfigMap=x
refuse "tokens and client certificates without an issuer" 'identity.jwt.issuer is required' "${maximal[@]}" --set identity.jwt.issuer=
refuse "tokens and client certificates without an audience" 'identity.jwt.audience is required' "${maximal[@]}" --set identity.jwt.audience=
refuse "an issuer in mode mtls" 'identity.jwt is set, but identity.mode is mtls' "${mtls[@]}" --set identity.jwt.issuer=https://id.example.com
refuse "clients in mode jwt" 'identity.mtls is set, but identity.mode is jwt' "${mtls[@]}" --set identity.mode=jwt
refuse "two equal prefixes of principals" 'principalPrefix must differ' "${maximal[@]}" --set identity.mtls.principalPrefix=platform:
refuse "a client whose principal is one of the issuer" 'the principal of spiffe://example.org/x must not begin with identity.jwt.principalPrefix' "${maximal[@]}" --set-json 'identity.mtls={"principalPrefix":"","clients":{"existingConfigMap":"","table":{"spiffe://example.org/x":{"organization":"acme","subject":"platform:x"}}}}'
refuse "an unknown setting of client certificates" "at '/identity/mtls': additional properties 'crl' not allowed" "${mtls[@]}" --set identity.mtls.crl=x
refuse "authorities in values" "at '/identity/mtls/ca': additional properties 'pem' not allowed" "${mtls[@]}" --set identity.mtls.ca.pem=x
refuse "a client that has no SPIFFE id" "at '/identity/mtls/clients/table': additional properties 'loader' not allowed" "${mtls[@]}" --set identity.mtls.clients.table.loader.organization=acme
refuse "a client with an unknown setting" "at '/identity/mtls/clients/table/spiffe:.*': additional properties 'role' not allowed" "${mtls[@]}" --set 'identity.mtls.clients.table.spiffe://x/y.role=admin'
refuse "a client without a subject" "at '/identity/mtls/clients/table/spiffe:.*': missing property 'subject'" "${mtls[@]}" --set 'identity.mtls.clients.table.spiffe://x/y.organization=acme'
refuse "a client of an organization without a valid id" "/organization': 'Acme' does not match pattern" "${mtls[@]}" --set 'identity.mtls.clients.table.spiffe://x/y.organization=Acme,identity.mtls.clients.table.spiffe://x/y.subject=y'
refuse "a client with an unknown role" "/roles/0': value must be one of" "${mtls[@]}" --set 'identity.mtls.clients.table.spiffe://x/y.roles[0]=owner'
refuse "the table of clients in the environment" 'extraEnv must not set OUTFLOW_MTLS_CLIENTS_FILE:' "${mtls[@]}" --set 'extraEnv[0].name=OUTFLOW_MTLS_CLIENTS_FILE,extraEnv[0].value=x'
refuse "the table of clients in the configuration" 'config must not set mtls_clients_file' "${mtls[@]}" --set-string config='mtls_clients_file = "/x"'
refuse "a mount at the path of the clients" 'extraVolumeMounts must not use the path /etc/outflow/clients:' "${mtls[@]}" --set 'extraVolumeMounts[0].name=x,extraVolumeMounts[0].mountPath=/etc/outflow/clients'
refuse "no issuer" 'identity.jwt.issuer is required' "${sqlite[@]}" --set identity.jwt.issuer=
refuse "no audience" 'identity.jwt.audience is required' "${sqlite[@]}" --set identity.jwt.audience=
refuse "a key set without TLS" "at '/identity/jwt/jwks/url': 'http://id' does not match pattern" "${sqlite[@]}" --set identity.jwt.jwks.url=http://id
refuse "an organization claim without a name" "at '/identity/jwt/organizationClaim': minLength" "${sqlite[@]}" --set identity.jwt.organizationClaim=
refuse "neither TLS nor plaintext" 'tls requires exactly one' "${sqlite[@]}" --set tls.existingSecret=
refuse "both TLS and plaintext" 'tls requires exactly one' "${sqlite[@]}" --set tls.plaintext=behind-tls
refuse "plaintext that is not a string" "at '/tls/plaintext': got boolean, want string" "${sqlite[@]}" --set tls.plaintext=true
refuse "plaintext with an unknown value" "at '/tls/plaintext': value must be one of" "${sqlite[@]}" --set tls.plaintext=yes-please
refuse "a grace period shorter than preStop and calls" 'terminationGracePeriodSeconds must be at least 35: preStopSleepSeconds plus 30' "${sqlite[@]}" --set terminationGracePeriodSeconds=34,runs.enabled=false
refuse "a grace period shorter than the drain" 'terminationGracePeriodSeconds must be at least 50' "${sqlite[@]}" --set terminationGracePeriodSeconds=49
refuse "a grace period shorter than preStop and drain" 'terminationGracePeriodSeconds must be at least 65' "${sqlite[@]}" --set preStopSleepSeconds=20,terminationGracePeriodSeconds=64
refuse "a grace period shorter than a long drain" 'terminationGracePeriodSeconds must be at least 630' "${sqlite[@]}" --set runs.drainTimeout=10m,terminationGracePeriodSeconds=600
refuse "a grace period of runners shorter than the drain" 'runner.terminationGracePeriodSeconds must be at least 145' "${runners[@]}" --set runner.terminationGracePeriodSeconds=144
refuse "runners on SQLite" "at '/runner/enabled': value must be false" "${sqlite[@]}" --set runner.enabled=true
refuse "runners without runs" 'runner.enabled requires runs.enabled' "${runners[@]}" --set runs.enabled=false
refuse "an autoscaler of runners" "at '/runner': additional properties 'autoscaling' not allowed" "${runners[@]}" --set runner.autoscaling.enabled=true
refuse "negative replicas of runners" "at '/runner/replicas': minimum" "${runners[@]}" --set runner.replicas=-1
refuse "an unknown setting of runs" "at '/runs': additional properties 'maxRuns' not allowed" "${sqlite[@]}" --set runs.maxRuns=1
refuse "no concurrent runs" "at '/runs/maxConcurrent': minimum: got 0" "${sqlite[@]}" --set runs.maxConcurrent=0
refuse "no concurrent runs of an organization" "at '/runs/maxConcurrentPerOrganization': minimum: got 0" "${sqlite[@]}" --set runs.maxConcurrentPerOrganization=0
refuse "no concurrent runs of a connection type" "at '/runs/maxConcurrentPerConnectionType': minimum: got 0" "${sqlite[@]}" --set runs.maxConcurrentPerConnectionType=0
refuse "no attempts" "at '/runs/maxAttempts': minimum: got 0" "${sqlite[@]}" --set runs.maxAttempts=0
refuse "no retention" "at '/runs/retentionDays': minimum: got 0" "${sqlite[@]}" --set runs.retentionDays=0
refuse "a retention beyond the range of times" "at '/runs/retentionDays': maximum: got 40,000" "${sqlite[@]}" --set runs.retentionDays=40000
refuse "no threads" "at '/runs/engineThreads': minimum: got 0" "${sqlite[@]}" --set runs.engineThreads=0
refuse "an engine without memory" "at '/runs/engineMemoryMib': minimum: got 8" "${sqlite[@]}" --set runs.engineMemoryMib=8
refuse "a duration without a unit" "at '/runs/drainTimeout': got number, want string" "${sqlite[@]}" --set runs.drainTimeout=20
refuse "a duration with an unknown unit" "at '/runs/maxDuration': '1d' does not match pattern" "${sqlite[@]}" --set runs.maxDuration=1d
refuse "a drain of no duration" "at '/runs/drainTimeout': '0s' does not match pattern" "${sqlite[@]}" --set runs.drainTimeout=0s
refuse "a heartbeat longer than a third of the lease" 'runs.heartbeat must be at most a third' "${sqlite[@]}" --set runs.heartbeat=11s
refuse "a heartbeat in minutes longer than a third of the lease" 'runs.heartbeat must be at most a third' "${sqlite[@]}" --set runs.heartbeat=1m,runs.lease=179s
refuse "too little memory for the engine" ' resources.limits.memory must be at least 512Mi' "${sqlite[@]}" --set resources.limits.memory=511Mi
refuse "too little memory for the engine, in bytes" ' resources.limits.memory must be at least 512Mi' "${sqlite[@]}" --set resources.limits.memory=536870911
refuse "too little memory for the engine, in decimal units" ' resources.limits.memory must be at least 512Mi' "${sqlite[@]}" --set resources.limits.memory=0.5G
refuse "too little memory for a larger engine" ' resources.limits.memory must be at least 1280Mi' "${maximal[@]}" --set runs.engineMemoryMib=1024
refuse "too little memory for previews" ' resources.limits.memory must be at least 320Mi' "${runners[@]}" --set resources.limits.memory=256Mi
refuse "too little memory for runners" 'runner.resources.limits.memory must be at least 1280Mi' "${runners[@]}" --set runner.resources.limits.memory=1Gi
refuse "memory that is not a quantity" 'resources.limits.memory must be a quantity' "${sqlite[@]}" --set resources.limits.memory=1GiB
refuse "a memory request that is not a quantity" 'resources.requests.memory must be a quantity' "${sqlite[@]}" --set resources.requests.memory=lots
refuse "a memory request above the limit" 'resources.requests.memory must not be greater than the limit, which is 1024Mi' "${sqlite[@]}" --set resources.requests.memory=2Gi
refuse "a source of datasets that is a relative path" "at '/datasets/location'" "${sqlite[@]}" --set datasets.location=data
refuse "a source of datasets with an unknown scheme" "at '/datasets/location'" "${sqlite[@]}" --set datasets.location=https://example.com/data
refuse "a source of datasets with a comma" "at '/datasets/sources/acme': .* does not match pattern" "${sqlite[@]}" --set 'datasets.sources.acme=s3://a\,b'
refuse "a source of an organization without a valid id" "at '/datasets/sources': additional properties 'Acme' not allowed" "${sqlite[@]}" --set datasets.sources.Acme=s3://acme
refuse "no source of an organization" "at '/datasets/sources/acme': .* does not match pattern" "${sqlite[@]}" --set datasets.sources.acme=none
refuse "a password in a source" 'datasets.location must not contain a password' "${sqlite[@]}" --set datasets.location=postgres://u:p@h/d
refuse "a password in the source of an organization" 'datasets.sources.acme must not contain a password' "${sqlite[@]}" --set datasets.sources.acme=postgres://u:p@h/d
refuse "a directory on no volume" 'datasets.location is a directory on no volume' "${postgresql[@]}" --set datasets.location=/srv/data
refuse "a directory beside the claim" 'datasets.sources.acme is a directory on no volume' "${runners[@]}" --set datasets.sources.acme=/srv/outflow/datasets-acme
refuse "a claim that no source uses" 'datasets.existingClaim is mounted at' "${postgresql[@]}" --set datasets.existingClaim=x
refuse "credentials of no source" 'datasets.existingSecret is set, but neither' "${sqlite[@]}" --set datasets.existingSecret=x
refuse "credentials in values" "at '/datasets': additional properties 'options' not allowed" "${sqlite[@]}" --set datasets.options.acme.password=x
refuse "credentials in the environment" 'extraEnv must not set OUTFLOW_DATASET_OPTIONS:' "${sqlite[@]}" --set 'extraEnv[0].name=OUTFLOW_DATASET_OPTIONS,extraEnv[0].value=x'
refuse "credentials in the configuration" 'config must not set dataset_options' "${sqlite[@]}" --set-string config=$'[dataset_options.acme]\npassword = "x"'
refuse "a setting of runs in the configuration" 'config must not set run_drain_timeout' "${sqlite[@]}" --set-string config='run_drain_timeout = "1h"'
refuse "a setting of runs in a table of the configuration" 'config must not set run_drain_timeout' "${sqlite[@]}" --set-string config=$'[run]\ndrain_timeout = "1h"'
refuse "a setting of runs in the environment" 'extraEnv must not set OUTFLOW_RUNS:' "${sqlite[@]}" --set 'extraEnv[0].name=OUTFLOW_RUNS,extraEnv[0].value=off'
refuse "a permitted address without an organization" "at '/outbound/allowed/0': .* does not match pattern" "${sqlite[@]}" --set 'outbound.allowed[0]=10.0.0.0/8'
refuse "a permitted host name" "at '/outbound/allowed/0': .* does not match pattern" "${sqlite[@]}" --set 'outbound.allowed[0]=*=db.internal:5432'
refuse "permitted addresses as one string" "at '/outbound/allowed': got string, want array" "${sqlite[@]}" --set 'outbound.allowed=*=10.0.0.0/8'
refuse "two sets of certificate authorities" 'outbound.ca must not have both' "${sqlite[@]}" --set outbound.ca.existingSecret=x,outbound.ca.existingConfigMap=y
refuse "an extra volume at the path of local directories" 'extraVolumeMounts must not use the path /srv/outflow/exports:' "${runners[@]}" --set 'extraVolumeMounts[0].name=x,extraVolumeMounts[0].mountPath=/srv/outflow/exports'
refuse "an unknown kind of delivery" "at '/networkPolicy/deliveries/0': additional properties 'ipBlock' not allowed" "${sqlite[@]}" --set-json 'networkPolicy.deliveries=[{"cidr":"10.0.0.0/8","ports":[1],"ipBlock":{}}]'
refuse "deliveries to no port" "at '/networkPolicy/deliveries/0/ports': minItems" "${sqlite[@]}" --set-json 'networkPolicy.deliveries=[{"cidr":"10.0.0.0/8","ports":[]}]'
refuse "deliveries to a host name" "at '/networkPolicy/deliveries/0/cidr': .* does not match pattern" "${sqlite[@]}" --set-json 'networkPolicy.deliveries=[{"cidr":"example.com","ports":[443]}]'
refuse "deliveries to a port out of range" "at '/networkPolicy/deliveries/0/ports/0': maximum" "${sqlite[@]}" --set-json 'networkPolicy.deliveries=[{"cidr":"10.0.0.0/8","ports":[70000]}]'
refuse "a truncated digest" "at '/image/digest': .* does not match pattern" "${sqlite[@]}" --set image.digest=sha256:abc
refuse "a tag in the repository" "at '/image/repository': .* does not match pattern" "${sqlite[@]}" --set image.repository=a/b:1
refuse "an unknown pull policy" "at '/image/pullPolicy': value must be one of" "${sqlite[@]}" --set image.pullPolicy=Sometimes
refuse "replicas as a string" "at '/replicas': got string, want integer" "${sqlite[@]}" --set-string replicas=1
refuse "negative replicas" "at '/replicas': minimum" "${postgresql[@]}" --set replicas=-1
refuse "a port out of range" "at '/service/port': maximum" "${sqlite[@]}" --set service.port=70000
refuse "an unknown type of Service" "at '/service/type': value must be one of" "${sqlite[@]}" --set service.type=ExternalName
refuse "an autoscaler with minReplicas above maxReplicas" 'autoscaling.minReplicas must not be greater' "${maximal[@]}" --set autoscaling.minReplicas=10
refuse "an autoscaler without a CPU request" 'autoscaling requires resources.requests.cpu' "${maximal[@]}" --set resources.requests.cpu=null
refuse "a PodDisruptionBudget that allows no disruption" "at '/podDisruptionBudget/maxUnavailable': minimum: got 0" "${postgresql[@]}" --set podDisruptionBudget.maxUnavailable=0
refuse "a rolling update without surge" "at '/rollingUpdate/maxSurge': minimum: got 0" "${postgresql[@]}" --set rollingUpdate.maxSurge=0
refuse "runAsNonRoot: false" "at '/podSecurityContext/runAsNonRoot': value must be true" "${sqlite[@]}" --set podSecurityContext.runAsNonRoot=false
refuse "runAsUser: 0" "at '/podSecurityContext/runAsUser': minimum" "${sqlite[@]}" --set podSecurityContext.runAsUser=0
refuse "no runAsNonRoot" "at '/podSecurityContext': missing property 'runAsNonRoot'" "${sqlite[@]}" --set podSecurityContext.runAsNonRoot=null
refuse "no capabilities" "at '/securityContext': missing property 'capabilities'" "${sqlite[@]}" --set securityContext.capabilities=null
refuse "a missing section" "missing property 'tls'" "${sqlite[@]}" --set tls=null
refuse "a privileged container" "at '/securityContext/privileged': value must be false" "${sqlite[@]}" --set securityContext.privileged=true
refuse "privilege escalation" "at '/securityContext/allowPrivilegeEscalation': value must be false" "${sqlite[@]}" --set securityContext.allowPrivilegeEscalation=true
refuse "an added capability" "at '/securityContext/capabilities/add/0': value must be 'NET_BIND_SERVICE'" "${sqlite[@]}" --set 'securityContext.capabilities.add[0]=SYS_ADMIN'
refuse "an unconfined seccomp profile" "at '/podSecurityContext/seccompProfile/type': value must be one of" "${sqlite[@]}" --set podSecurityContext.seccompProfile.type=Unconfined
refuse "a database URL in the environment" 'extraEnv must not set OUTFLOW_DATABASE_URL:' "${postgresql[@]}" --set 'extraEnv[0].name=OUTFLOW_DATABASE_URL,extraEnv[0].value=x'
refuse "the identity mode in the environment" 'extraEnv must not set OUTFLOW_IDENTITY_MODE:' "${sqlite[@]}" --set 'extraEnv[0].name=OUTFLOW_IDENTITY_MODE,extraEnv[0].value=development'
refuse "a database URL in the configuration" 'config must not set database_url' "${postgresql[@]}" --set-string config='database_url = "postgres://u:p@h/d"'
refuse "a database URL in a table of the configuration" 'config must not set database_url' "${postgresql[@]}" --set-string config=$'[database]\nurl = "postgres://u:p@h/d"'
refuse "a configuration that is not TOML" 'config is not valid TOML' "${postgresql[@]}" --set-string config='log ='
refuse "keys in the configuration" 'config must not set keys' "${postgresql[@]}" --set-string config='keys = "k0001=AAAA"'
refuse "keys in the environment" 'extraEnv must not set OUTFLOW_KEYS:' "${postgresql[@]}" --set 'extraEnv[0].name=OUTFLOW_KEYS,extraEnv[0].value=x'
refuse "configuration as a map" "at '/config': got object, want string" "${sqlite[@]}" --set config.a=1
refuse "a connection type that is not TOML" "at '/catalog': additional properties 'crm.json' not allowed" "${sqlite[@]}" --set 'catalog.crm\.json=x'
refuse "a volume with the name of a volume of the chart" 'extraVolumes must not use the name keys:' "${sqlite[@]}" --set 'extraVolumes[0].name=keys'
refuse "a mount at the path of the keys" 'extraVolumeMounts must not use the path /etc/outflow/keys/:' "${sqlite[@]}" --set 'extraVolumeMounts[0].name=x,extraVolumeMounts[0].mountPath=/etc/outflow/keys/'
refuse "a container with the name of the server" "at '/extraContainers/0/name'" "${sqlite[@]}" --set 'extraContainers[0].name=outflow,extraContainers[0].image=x'
refuse "a pod label that a selector uses" "at '/podLabels/app.kubernetes.io.*name'" "${sqlite[@]}" --set 'podLabels.app\.kubernetes\.io/name=x'
refuse "an unknown log format" "at '/log/format': value must be one of" "${sqlite[@]}" --set log.format=xml
refuse "an unknown kind of network peer" "at '/networkPolicy/to/0': additional properties 'cidr' not allowed" "${sqlite[@]}" --set-json networkPolicy.to='[{"cidr":"10.0.0.0/8"}]'
refuse "a name with capitals" "at '/fullnameOverride': .* does not match pattern" "${sqlite[@]}" --set fullnameOverride=Exports

echo "$refusals refusals tested with $("$helm" version --template '{{.Version}}')"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

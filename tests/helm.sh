#!/usr/bin/env bash
# Tests the Helm chart with helm: lints it, renders it, checks the rendered objects, and checks that invalid values are
# refused. Requires helm (3.18 or later, whose schema errors the tests match) and python3; no cluster and no network.
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

docs = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]


def many(kind):
    return [d for d in docs if d.get("kind") == kind]


def one(kind, end=""):
    found = [d for d in many(kind) if d["metadata"]["name"].endswith(end)]
    assert len(found) == 1, f"{len(found)} objects of kind {kind} ending in {end!r}"
    return found[0]


def pod(kind="Deployment"):
    return one(kind)["spec"]["template"]["spec"]


def server():
    return pod()["containers"][0]


def env(kind="Deployment"):
    return {e["name"]: e.get("value") for e in pod(kind)["containers"][0]["env"]}


def mounts():
    return {m["mountPath"]: m for m in server()["volumeMounts"]}


def volume(name, kind="Deployment"):
    return next(v for v in pod(kind)["volumes"] if v["name"] == name)


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
            if ctx.get("runAsUser", own.get("runAsUser")) in (None, 0):
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
    return re.findall(r"^\| `([^`]+)` \|", open(readme, encoding="utf-8").read(), re.M)


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
  expect "$values: every mount has a volume" '{m["name"] for m in server()["volumeMounts"]} == {v["name"] for v in pod()["volumes"]}' -f "$values"
  expect "$values: selectors match the pods" 'all(selected(s["spec"]["selector"], one("Deployment")["spec"]["template"]["metadata"]["labels"]) for s in many("Service")) and selected(one("Deployment")["spec"]["selector"]["matchLabels"], one("Deployment")["spec"]["template"]["metadata"]["labels"])' -f "$values"
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
expect "the Job mounts the database URL and no key" 'set(env("Job")) == {"OUTFLOW_DATABASE_URL_FILE", "OUTFLOW_LOG", "OUTFLOW_LOG_FORMAT"} and {v["name"] for v in pod("Job")["volumes"]} == {"tmp", "database"} and volume("database", "Job") == volume("database")' "${postgresql[@]}"
expect "no Service selects the pods of the Job" 'not any(selected(s["spec"]["selector"], one("Job")["spec"]["template"]["metadata"]["labels"]) for s in many("Service")) and not selected(one("Deployment")["spec"]["selector"]["matchLabels"], one("Job")["spec"]["template"]["metadata"]["labels"])' "${postgresql[@]}"
expect "migrations.hook makes the Job a hook without a ServiceAccount" 'one("Job")["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade" and "serviceAccountName" not in pod("Job")' "${postgresql[@]}" --set migrations.hook=true
expect "a hook uses an existing ServiceAccount" 'pod("Job")["serviceAccountName"] == "mine" and many("ServiceAccount") == []' "${postgresql[@]}" --set migrations.hook=true,serviceAccount.create=false,serviceAccount.name=mine
expect "migrations.enabled=false renders no Job" 'many("Job") == [] and env()["OUTFLOW_MIGRATE"] == "check" and len(many("NetworkPolicy")) == 1' "${postgresql[@]}" --set migrations.enabled=false
job_name() { template "${postgresql[@]}" "$@" | grep -o 'name: rel-outflow-migrate-.*'; }
if [ "$(job_name)" != "$(job_name --set image.tag=0.1.1)" ]; then ok; else bad "another image must change the name of the Job"; fi
if [ "$(job_name)" = "$(job_name --set replicas=5)" ]; then ok; else bad "more replicas must not change the name of the Job"; fi
if grep -q -- 'migrate-1-' <<<"$(job_name)"; then ok; else bad "the name of the Job must contain the revision"; fi

## Probes, ports, termination

expect "grpc probes use the admin port" '[server()[p]["grpc"] for p in ("startupProbe", "livenessProbe", "readinessProbe")] == [{"port": 50052, "service": "liveness"}] * 2 + [{"port": 50052}] and env()["OUTFLOW_ADMIN_LISTEN"] == "0.0.0.0:50052"' "${postgresql[@]}"
expect "no Service exposes the admin port" 'all(p["targetPort"] == "grpc" for s in many("Service") for p in s["spec"]["ports"])' "${maximal[@]}"
expect "the headless Service has no cluster IP" 'one("Service", "-headless")["spec"]["clusterIP"] == "None"' "${postgresql[@]}"
expect "headlessService.enabled=false renders no headless Service" 'len(many("Service")) == 1' "${postgresql[@]}" --set headlessService.enabled=false
expect "termination: grace period and preStop sleep" 'pod()["terminationGracePeriodSeconds"] == 40 and server()["lifecycle"]["preStop"]["sleep"]["seconds"] == 5' "${postgresql[@]}"
expect "preStopSleepSeconds=0 renders no preStop" '"lifecycle" not in server() and pod()["terminationGracePeriodSeconds"] == 30' "${postgresql[@]}" --set preStopSleepSeconds=0,terminationGracePeriodSeconds=30

## Identity, TLS, keys, configuration

expect "the identity mode is jwt" 'env()["OUTFLOW_IDENTITY_MODE"] == "jwt" and env()["OUTFLOW_JWT_PRINCIPAL_PREFIX"] == ""' "${postgresql[@]}"
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
sed -i 's/^display_name/title/' "$work/catalog/acme-crm.toml"
if out=$(config_check 2>&1); then bad "the binary must refuse a malformed catalog"; else ok; fi
checksum() { template "${maximal[@]}" "$@" | grep checksum/config; }
if [ "$(checksum)" != "$(checksum --set config='a = 1')" ]; then ok; else bad "another configuration must change the checksum of the pods"; fi

## Autoscaling, image, NetworkPolicy, labels, extra objects

expect "the autoscaler sets the number of pods" '"replicas" not in one("Deployment")["spec"] and one("HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 9 and one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == one("Deployment")["metadata"]["name"]' "${maximal[@]}"
expect "the digest is part of the image" 'server()["image"].split("@")[1].startswith("sha256:") and pod("Job")["containers"][0]["image"] == server()["image"]' "${maximal[@]}"
expect "NetworkPolicies select the pods of the server and of the Job" 'all(any(selected(n["spec"]["podSelector"]["matchLabels"], one(k)["spec"]["template"]["metadata"]["labels"]) and set(n["spec"]["policyTypes"]) == {"Ingress", "Egress"} for n in many("NetworkPolicy")) for k in ("Deployment", "Job"))' "${postgresql[@]}"
expect "the admin port is closed by default" '[i["ports"] for i in one("NetworkPolicy")["spec"]["ingress"]] == [[{"port": "grpc"}]]' "${sqlite[@]}"
expect "the Job may connect to DNS and the database only" 'all(p["port"] in (53, 5432) for e in one("NetworkPolicy", "-migrations")["spec"]["egress"] for p in e["ports"]) and "ingress" not in one("NetworkPolicy", "-migrations")["spec"]' "${postgresql[@]}"
expect "networkPolicy.enabled=false renders no NetworkPolicy" 'many("NetworkPolicy") == []' "${postgresql[@]}" --set networkPolicy.enabled=false
expect "networkPolicy.to can be empty" 'len(one("NetworkPolicy")["spec"]["egress"]) == 1' "${sqlite[@]}" --set-json networkPolicy.to='[]'
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
notes "notes: grpcurl and database connections" '"grpcurl -plaintext -import-path" in one("Notes")["text"] and "3 pods × 22 = 66, plus 1 × 22 during an update" in one("Notes")["text"]' "${postgresql[@]}"
notes "notes: database connections with autoscaling" '"9 pods × 22 = 198, plus 25% of that during an update" in one("Notes")["text"]' "${maximal[@]}"
notes "notes: sqlite" '"rel-outflow-data" in one("Notes")["text"] and "-cacert ca.crt" in one("Notes")["text"]' "${sqlite[@]}"

## Documentation and schema

to_json <"$chart/values.yaml" >"$work/values"
if python3 "$work/check.py" "$work/values" 'sorted(set(leaves(docs[0])) ^ set(table())) == []'; then ok; else bad "the table in README.md must list the values of values.yaml"; fi
if python3 - "$chart/values.schema.json" <<'EOF'; then ok; else bad "the schema must refuse unknown keys"; fi
import json
import sys

# Maps whose keys the operator or Kubernetes defines.
FREE = {"podSecurityContext", "securityContext", "seccompProfile", "capabilities", "extraVolumes", "extraVolumeMounts",
        "extraContainers", "extraObjects", "podLabels", "then", "if"}


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
refuse "development identity" "at '/identity/mode': value must be 'jwt'" "${sqlite[@]}" --set identity.mode=development
refuse "no issuer" 'identity.jwt.issuer is required' "${sqlite[@]}" --set identity.jwt.issuer=
refuse "no audience" 'identity.jwt.audience is required' "${sqlite[@]}" --set identity.jwt.audience=
refuse "no key set" 'identity.jwt.jwks requires exactly one' "${sqlite[@]}" --set identity.jwt.jwks.url=
refuse "two key sets" 'identity.jwt.jwks requires exactly one' "${sqlite[@]}" --set identity.jwt.jwks.existingConfigMap=x
refuse "a key set without TLS" "at '/identity/jwt/jwks/url': 'http://id' does not match pattern" "${sqlite[@]}" --set identity.jwt.jwks.url=http://id
refuse "an organization claim without a name" "at '/identity/jwt/organizationClaim': minLength" "${sqlite[@]}" --set identity.jwt.organizationClaim=
refuse "neither TLS nor plaintext" 'tls requires exactly one' "${sqlite[@]}" --set tls.existingSecret=
refuse "both TLS and plaintext" 'tls requires exactly one' "${sqlite[@]}" --set tls.plaintext=behind-tls
refuse "plaintext that is not a string" "at '/tls/plaintext': got boolean, want string" "${sqlite[@]}" --set tls.plaintext=true
refuse "plaintext with an unknown value" "at '/tls/plaintext': value must be one of" "${sqlite[@]}" --set tls.plaintext=yes-please
refuse "a grace period shorter than the drain" 'terminationGracePeriodSeconds must be at least 35' "${sqlite[@]}" --set terminationGracePeriodSeconds=34
refuse "a grace period shorter than preStop and drain" 'terminationGracePeriodSeconds must be at least 50' "${sqlite[@]}" --set preStopSleepSeconds=20
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

# Values as teams use them on their platforms. Sourced by tests/helm.sh.
# shellcheck shell=bash disable=SC2154

openshift=(-f "$chart/ci/openshift-values.yaml")
istio=(-f "$chart/ci/istio-values.yaml")
linkerd=(-f "$chart/ci/linkerd-values.yaml")
cloudsql=(-f "$chart/ci/cloud-sql-values.yaml")
cnpg=(-f "$chart/ci/cloudnativepg-values.yaml")
ipv6=(-f "$chart/ci/ipv6-values.yaml")
argocd=(-f "$chart/ci/argocd-values.yaml")

# with JSON: prints the path of a file with values.
with() {
  local file
  file=$(mktemp "$work/values-XXXXXX")
  printf '%s' "$1" >"$file"
  echo "$file"
}

## Schemas of Kubernetes

mapfile -t minors < <(python3 -B tests/helm/schemas.py "$work/schemas")
if [ "${#minors[@]}" -eq 4 ]; then ok; else bad "there must be schemas of four minor versions of Kubernetes"; fi
mkdir "$work/rendered"
for values in "$chart"/ci/*-values.yaml; do template -f "$values" >"$work/rendered/$(basename "$values" -values.yaml).yaml"; done
# Schemas of GRPCRoute, ServiceMonitor and PrometheusRule are in tests/helm/schemas. Route of OpenShift has none.
kubeconform_of() {
  local minor=$1
  shift
  kubeconform -strict -summary -skip route.openshift.io/v1/Route \
    -schema-location "$work/schemas/$minor/{{.ResourceKind}}{{.KindSuffix}}.json" \
    -schema-location 'tests/helm/schemas/{{.ResourceKind}}{{.KindSuffix}}.json' "$@"
}
for minor in "${minors[@]}"; do
  if out=$(kubeconform_of "$minor" "$work/rendered" 2>&1) && grep -q 'Invalid: 0, Errors: 0, Skipped: 1$' <<<"$out"; then
    ok
    echo "Kubernetes $minor: $out"
  else
    bad "kubeconform for Kubernetes $minor" "$out"
  fi
done
# The check can fail: an unknown field, a wrong type, and a field that is missing.
for wrong in 's/preStop:/preStopp:/' 's/containerPort: 50052/containerPort: "x"/' '/mountPath: \/tmp/d' 's/appProtocol: grpc/appProtokol: grpc/'; do
  sed "$wrong" "$work/rendered/postgresql.yaml" >"$work/wrong.yaml"
  if kubeconform_of "${minors[3]}" "$work/wrong.yaml" >/dev/null 2>&1; then bad "kubeconform must report $wrong"; else ok; fi
done

## The Job reaches what the pods reach

ca=(--set-json 'extraVolumes=[{"name":"pg-ca","configMap":{"name":"pg-ca"}}]' --set-json 'extraVolumeMounts=[{"name":"pg-ca","mountPath":"/etc/pg-ca","readOnly":true}]')
job_mounts='{m["mountPath"]: m for m in pod("Job")["containers"][0]["volumeMounts"]}'
expect "the Job has the volumes and mounts of the pods" "volume('pg-ca', 'Job') == volume('pg-ca') and $job_mounts['/etc/pg-ca'] == mounts()['/etc/pg-ca']" "${postgresql[@]}" "${ca[@]}"
expect "the Job has the additional environment, without settings that are not of the database" '{k for k in env("Job") if k not in ("OUTFLOW_LOG", "OUTFLOW_LOG_FORMAT")} == {"OUTFLOW_DATABASE_URL_FILE", "OUTFLOW_DATABASE_MAX_CONNECTIONS", "SSL_CERT_FILE"} and "OUTFLOW_TRACES_ENDPOINT" in env()' "${postgresql[@]}" --set-json 'extraEnv=[{"name":"SSL_CERT_FILE","value":"/etc/pg-ca/ca.crt"},{"name":"OUTFLOW_DATABASE_MAX_CONNECTIONS","value":"4"},{"name":"OUTFLOW_TRACES_ENDPOINT","value":"http://collector:4317"}]'
expect "the Job has the authorities of the database" 'all(env(k)["OUTFLOW_DATABASE_CA_FILE"] == "/etc/outflow/database-ca/ca.crt" and volume("database-ca", k)["configMap"] == {"name": "database-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]} for k in ("Deployment", "Job"))' "${ipv6[@]}"
expect "the Job is scheduled and resolves names as the pods do" 'all(pod("Job")[k] == pod()[k] for k in ("runtimeClassName", "schedulerName", "dnsPolicy", "dnsConfig", "hostAliases", "priorityClassName", "nodeSelector", "tolerations", "affinity", "imagePullSecrets", "securityContext", "initContainers"))' "${maximal[@]}" --set migrations.hook=false -f "$(with '{"runtimeClassName":"gvisor","schedulerName":"batch","dnsPolicy":"None","dnsConfig":{"nameservers":["10.96.0.10"],"options":[{"name":"ndots","value":"2"}]},"hostAliases":[{"ip":"10.1.2.3","hostnames":["db.internal"]}],"initContainers":[{"name":"proxy","image":"proxy:1"}]}')"
expect "the Job uses the ServiceAccount of the pods" 'pod("Job")["serviceAccountName"] == pod()["serviceAccountName"] == "rel-outflow"' "${postgresql[@]}"
expect "the Job may connect to the further peers of the pods" 'all(r in one("NetworkPolicy", "-migrations")["spec"]["egress"] for r in ({"to": [{"ipBlock": {"cidr": "10.9.0.0/16"}}]}, {"to": [{"podSelector": {}}], "ports": [{"port": 6000}]}))' "${postgresql[@]}" --set-json 'networkPolicy={"to":[{"ipBlock":{"cidr":"10.9.0.0/16"}}],"extraEgress":[{"to":[{"podSelector":{}}],"ports":[{"port":6000}]}]}'
expect "annotations of the Job are on its pod too, except for those of Argo CD and Helm" 'one("Job")["metadata"]["annotations"] == {"argocd.argoproj.io/sync-wave": "0", "helm.sh/hook-weight": "1", "sidecar.istio.io/inject": "false"} and one("Job")["spec"]["template"]["metadata"]["annotations"] == {"sidecar.istio.io/inject": "false", "a": "pod", "b": "job"}' "${argocd[@]}" -f "$(with '{"migrations":{"annotations":{"sidecar.istio.io/inject":"false","helm.sh/hook-weight":1},"podAnnotations":{"b":"job"}},"podAnnotations":{"sidecar.istio.io/inject":"true","a":"pod","b":"pod"}}')"
expect "annotations of the values replace those of the hook" 'one("Job")["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "hook-succeeded" and one("Job")["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"' "${postgresql[@]}" --set 'migrations.hook=true,migrations.annotations.helm\.sh/hook-delete-policy=hook-succeeded'
expect "the Job has no additional containers, beside which it could not end" '[c["name"] for c in pod("Job")["containers"]] == ["migrate"] and len(pod()["containers"]) == 2' "${maximal[@]}"

## Service meshes

expect "istio: pods are injected, the Job is not" 'one("Deployment")["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "true" and one("Job")["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "false" and one("Job")["spec"]["template"]["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"' "${istio[@]}"
expect "istio: the Service names its protocol" 'all(p["appProtocol"] == "grpc" and p["name"] == "grpc" for s in many("Service") for p in s["spec"]["ports"])' "${istio[@]}"
expect "linkerd: annotations are text, on the pods and the Job" 'all(one(k)["spec"]["template"]["metadata"]["annotations"].items() >= {"linkerd.io/inject": "enabled", "config.linkerd.io/opaque-ports": "5432", "config.beta.linkerd.io/proxy-enable-native-sidecar": "true"}.items() for k in ("Deployment", "Job"))' "${linkerd[@]}"
expect "meshes: the control plane is reachable from the Job too" 'all(any("linkerd" in str(r) for r in n["spec"]["egress"]) for n in many("NetworkPolicy"))' "${linkerd[@]}"

## Database proxies and credentials

expect "cloud sql: the proxy is a native sidecar of the pods and the Job" 'all([(c["name"], c["restartPolicy"]) for c in pod(k)["initContainers"]] == [("cloud-sql-proxy", "Always")] for k in ("Deployment", "Job"))' "${cloudsql[@]}"
expect "cloud sql: settings without a Secret" '{k: v for k, v in env("Job").items() if "DATABASE" in k} == {"OUTFLOW_DATABASE_HOST": "127.0.0.1", "OUTFLOW_DATABASE_PORT": "5432", "OUTFLOW_DATABASE_NAME": "outflow", "OUTFLOW_DATABASE_USER": "outflow@example.iam"} and not any(v["name"] == "database" for v in pod()["volumes"])' "${cloudsql[@]}"
expect "cloud sql: the proxy of the Job may connect to the API of Google" 'egress("-migrations")["0.0.0.0/0"] == [22, 443, 5432] and egress("-migrations")["10.60.0.0/24"] == [3307]' "${cloudsql[@]}" --set networkPolicy.database.to=null
expect "operators: the keys of their Secret are mounted as files" '{k: v for k, v in env().items() if "DATABASE" in k} == {f"OUTFLOW_DATABASE_{n.upper()}_FILE": f"/etc/outflow/database/{n}" for n in ("host", "port", "name", "user", "password")} | {"OUTFLOW_DATABASE_CA_FILE": "/etc/outflow/database-ca/ca.crt"} and {i["path"]: i["key"] for i in volume("database", "Job")["secret"]["items"]} == {"host": "host", "port": "port", "name": "dbname", "user": "username", "password": "password"}' "${cnpg[@]}"
expect "operators: values and keys can be mixed" 'env()["OUTFLOW_DATABASE_HOST"] == "acid-minimal.db.svc" and "OUTFLOW_DATABASE_USER_FILE" in env() and "OUTFLOW_DATABASE_PORT" not in env()' "${postgresql[@]}" -f "$(with '{"database":{"host":"acid-minimal.db.svc","name":"outflow","existingSecret":"outflow.acid-minimal.credentials.postgresql.acid.zalan.do","secretKeys":{"user":"username","password":"password"}}}')"
expect "operators: the URL of their Secret, with a mode and authorities beside it" 'env()["OUTFLOW_DATABASE_SSL_MODE"] == "verify-full" and volume("database")["secret"]["items"] == [{"key": "uri", "path": "url"}] and "OUTFLOW_DATABASE_CA_FILE" in env("Job")' "${postgresql[@]}" --set database.existingSecretKey=uri,database.sslMode=verify-full,database.ca.existingSecret=ca
expect "poolers: the server and the Job are told" 'env()["OUTFLOW_DATABASE_POOLER"] == env("Job")["OUTFLOW_DATABASE_POOLER"] == "session"' "${postgresql[@]}" --set database.pooler=session
for port in 5433 '"5433"'; do
  expect "the port of the database as $port is permitted by the NetworkPolicies" 'env()["OUTFLOW_DATABASE_PORT"] == "5433" and all({"port": 5433} in r["ports"] for n in many("NetworkPolicy") for r in n["spec"]["egress"] if any("namespaceSelector" in p for p in r["to"]) and {"port": 53, "protocol": "UDP"} not in r["ports"])' "${cloudsql[@]}" --set-json "database.port=$port"
done
refuse "a separate setting without the others" 'database.name or database.secretKeys.name is required' "${postgresql[@]}" --set database.host=db,database.existingSecret=,database.user=u
refuse "a separate setting twice" 'database.host and database.secretKeys.host are both set' "${cnpg[@]}" --set database.host=db
refuse "keys of no Secret" 'database.secretKeys requires database.existingSecret' "${cnpg[@]}" --set database.existingSecret=
refuse "a URL beside separate settings" 'database.existingSecret is set beside separate settings' "${postgresql[@]}" --set database.host=db,database.name=n,database.user=u
refuse "a URL as host" "at '/database/host'" "${cloudsql[@]}" --set database.host=postgres://db
refuse "a host with a user" "at '/database/host'" "${cloudsql[@]}" --set database.host=u@db
refuse "a port that is a word" "at '/database/port': 'pg' does not match pattern" "${cloudsql[@]}" --set database.port=pg
refuse "a port out of range as text" "at '/database/port': '70000' does not match pattern" "${cloudsql[@]}" --set-string database.port=70000
refuse "transaction pooling" "at '/database/pooler': value must be one of" "${postgresql[@]}" --set database.pooler=transaction
refuse "a mode that does not exist" "at '/database/sslMode': value must be one of" "${postgresql[@]}" --set database.sslMode=verify
refuse "separate settings with SQLite" 'a setting of PostgreSQL is set below database, but' "${sqlite[@]}" --set database.host=db
refuse "two sets of authorities of the database" 'database.ca must not have both' "${ipv6[@]}" --set database.ca.existingSecret=x
refuse "the password in the environment" 'extraEnv must not set OUTFLOW_DATABASE_PASSWORD:' "${postgresql[@]}" --set 'extraEnv[0].name=OUTFLOW_DATABASE_PASSWORD,extraEnv[0].value=x'
refuse "the password in a variable of libpq" 'extraEnv must not set PGPASSWORD:' "${postgresql[@]}" --set 'extraEnv[0].name=PGPASSWORD,extraEnv[0].value=x'
refuse "a setting of the database in the configuration" 'config must not set database_pooler, because the Job' "${postgresql[@]}" --set-string config=$'[database]\npooler = "session"'
refuse "sidecars of a hook without its ServiceAccount" 'migrations.hook runs the Job before the ServiceAccount' "${cloudsql[@]}" --set migrations.hook=true
refuse "a sidecar with the name of a container" "at '/initContainers/0/name'" "${cloudsql[@]}" --set 'initContainers[0].name=migrate'

## OpenShift

expect "openshift: no user, group or fsGroup" 'all(pod(k)["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}} for k in ("Deployment", "Job"))' "${openshift[@]}"
expect "openshift: the defaults are left out by themselves" 'all(not {"runAsUser", "runAsGroup", "fsGroup"} & pod(k)["securityContext"].keys() for k in ("Deployment", "Job"))' "${postgresql[@]}" --api-versions security.openshift.io/v1
expect "openshift: users of the values are kept" 'pod()["securityContext"]["runAsUser"] == 1000660000 and "fsGroup" not in pod()["securityContext"]' "${postgresql[@]}" --api-versions security.openshift.io/v1 --set podSecurityContext.runAsUser=1000660000
expect "openshift: objects can be text" 'one("Route")["spec"]["to"]["name"] == "rel-outflow"' "${openshift[@]}"

## IPv6

expect "IPv6: the pods listen on IPv4 and IPv6" 'env()["OUTFLOW_LISTEN"] == "[::]:50051" and env()["OUTFLOW_ADMIN_LISTEN"] == "[::]:50052"' "${sqlite[@]}"
expect "IPv6: every Service has the families" 'len(many("Service")) == 2 and all(s["spec"]["ipFamilyPolicy"] == "PreferDualStack" and s["spec"]["ipFamilies"] == ["IPv6", "IPv4"] for s in many("Service"))' "${ipv6[@]}"
expect "IPv6: families are left to the cluster by default" 'not any({"ipFamilyPolicy", "ipFamilies"} & s["spec"].keys() for s in many("Service"))' "${sqlite[@]}"
expect "IPv6: only IPv6" 'all(s["spec"]["ipFamilies"] == ["IPv6"] for s in many("Service"))' "${sqlite[@]}" --set 'service.ipFamilyPolicy=SingleStack,service.ipFamilies={IPv6}'
refuse "an unknown family" "at '/service/ipFamilies/0': value must be one of" "${sqlite[@]}" --set 'service.ipFamilies={ipv6}'

## Argo CD, routes, metrics

expect "argo cd: the Deployment follows the Job, which has its ServiceAccount in its own wave" 'one("Deployment")["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] == "1" and one("Job")["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] == "0" and "annotations" not in one("ServiceAccount")["metadata"] and "annotations" not in one("Job")["spec"]["template"]["metadata"] and "replicas" not in one("Deployment")["spec"]' "${argocd[@]}"
expect "a GRPCRoute to the Service" 'one("GRPCRoute")["spec"] == {"parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}], "hostnames": ["outflow.example.com"], "rules": [{"backendRefs": [{"name": "rel-outflow", "port": 50051}]}]}' "${argocd[@]}"
expect "an Ingress with TLS" 'one("Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"] == {"name": "rel-outflow", "port": {"name": "grpc"}} and one("Ingress")["spec"]["tls"] == [{"hosts": ["outflow.internal.example.com"], "secretName": "outflow-internal"}]' "${argocd[@]}"
expect "an Ingress with the certificate of its controller" 'one("Ingress")["spec"]["tls"] == [{"hosts": ["outflow.internal.example.com"]}]' "${argocd[@]}" --set-json 'ingress.tls=[]'
expect "a ServiceMonitor selects the Service of the admin port alone" '[s["metadata"]["name"] for s in many("Service") if selected(one("ServiceMonitor")["spec"]["selector"]["matchLabels"], s["metadata"]["labels"])] == ["rel-outflow-metrics"] and one("Service", "-metrics")["spec"]["ports"] == [{"name": "admin", "port": 50052, "targetPort": "admin"}]' "${argocd[@]}"
expect "a ServiceMonitor for each Deployment" '[m["metadata"]["name"] for m in many("ServiceMonitor")] == ["rel-outflow", "rel-outflow-runner"] and all(selected(one("Service", f"{m}-metrics")["spec"]["selector"], d["spec"]["template"]["metadata"]["labels"]) for m, d in (("outflow", one("Deployment")), ("runner", one("Deployment", "-runner"))))' "${runners[@]}" -f "$(with '{"serviceMonitor":{"enabled":true},"networkPolicy":{"adminFrom":[{"namespaceSelector":{}}]}}')"
expect "a PrometheusRule with the alerts of the chart and further ones" '[r["alert"] for r in one("PrometheusRule")["spec"]["groups"][0]["rules"]] == ["OutflowErrors", "OutflowUnavailable", "OutflowSchedulerBehind", "OutflowFileNotReloaded", "OutflowManyRefusals"]' "${argocd[@]}"
# Every metric of the alerts is one of the server.
expect "the alerts name metrics of the server" 'all(re.sub(r"_(seconds_count|seconds|total)$", "", m).replace("_", ".") in {x["name"] for x in tomllib.load(open("src/telemetry/metrics.toml", "rb"))["metric"]} for r in one("PrometheusRule")["spec"]["groups"][0]["rules"][:4] for m in re.findall(r"([a-z_]+)\{", r["expr"]))' "${argocd[@]}"
refuse "a GRPCRoute of no Gateway" 'grpcRoute.parentRefs is required' "${sqlite[@]}" --set grpcRoute.enabled=true
refuse "an Ingress of no host" 'ingress.hosts is required' "${sqlite[@]}" --set ingress.enabled=true
refuse "a ServiceMonitor whose Prometheus is kept out" 'serviceMonitor.enabled requires networkPolicy.adminFrom' "${sqlite[@]}" --set serviceMonitor.enabled=true
refuse "a class of load balancers for a cluster IP" 'require service.type LoadBalancer' "${sqlite[@]}" --set service.loadBalancerClass=x
refuse "a node port for a cluster IP" 'require service.type NodePort or LoadBalancer' "${sqlite[@]}" --set service.nodePort=30051
expect "a load balancer as a cloud wants it" 'one("Service", "outflow")["spec"] | {"selector": 0, "ports": 0} == {"type": "LoadBalancer", "selector": 0, "ports": 0, "loadBalancerClass": "service.k8s.aws/nlb", "loadBalancerSourceRanges": ["10.0.0.0/8"], "externalTrafficPolicy": "Local", "trafficDistribution": "PreferClose"} and one("Service", "outflow")["metadata"]["labels"]["team"] == "x"' "${sqlite[@]}" --set-json 'service={"type":"LoadBalancer","loadBalancerClass":"service.k8s.aws/nlb","loadBalancerSourceRanges":["10.0.0.0/8"],"externalTrafficPolicy":"Local","trafficDistribution":"PreferClose","labels":{"team":"x"}}'

## Parent charts

parent=$work/parent
mkdir -p "$parent/charts"
cp -r "$chart" "$parent/charts/outflow"
cat >"$parent/Chart.yaml" <<'EOT'
apiVersion: v2
name: platform
version: 1.0.0
dependencies:
  - {name: outflow, version: 0.1.0, condition: outflow.enabled}
  - {name: outflow, version: 0.1.0, alias: second, condition: second.enabled}
EOT
# in_parent NAME EXPRESSION HELM-ARGUMENTS…: as expect, for a parent chart with the values of ci/postgresql-values.yaml.
{ echo 'global: {region: eu, imageRegistry: registry.example.com, imagePullSecrets: [one, {name: two}]}' && for name in outflow second; do
  echo "$name:"
  echo "  enabled: $([ "$name" = outflow ] && echo true || echo false)"
  sed 's/^/  /' "$chart/ci/postgresql-values.yaml"
done; } >"$parent/values.yaml"
in_parent() {
  local name=$1 expression=$2 out
  shift 2
  if out=$( ("$helm" template rel "$parent" --namespace outflow "$@" | to_json >"$work/objects" && python3 "$work/check.py" "$work/objects" "$expression") 2>&1); then ok; else bad "$name" "$out"; fi
}
in_parent "a dependency with a condition and with global values" 'len(many("Deployment")) == 1 and server()["image"].startswith("registry.example.com/outflow:") and pod("Job")["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]'
if [ -z "$("$helm" template rel "$parent" --set outflow.enabled=false)" ]; then ok; else bad "a dependency that is disabled renders nothing"; fi
in_parent "a dependency with an alias" 'len({d["metadata"]["name"] for d in many("Deployment")}) == 2 and len({(d["kind"], d["metadata"]["name"]) for d in docs}) == len(docs)' --set second.enabled=true,second.fullnameOverride=other
in_parent "null in a parent chart unsets a default" '"runAsUser" not in pod()["securityContext"] and "topologySpreadConstraints" not in pod() and pod()["terminationGracePeriodSeconds"] == 55' -f "$(with '{"outflow":{"podSecurityContext":{"runAsUser":null},"topologySpreadConstraints":null,"nodeSelector":null,"podAnnotations":null,"terminationGracePeriodSeconds":null}}')"
if out=$("$helm" template rel "$chart" "${postgresql[@]}" --set enabled=true --set-json 'global={"any":{"thing":[1]}}' 2>&1); then ok; else bad "enabled and global must be accepted" "$out"; fi
refuse "a dependency that is disabled without a condition" 'enabled is false, but the dependency of the parent chart has no condition' "${sqlite[@]}" --set enabled=false
refuse "enabled as text" "at '/enabled': got string, want boolean" "${sqlite[@]}" --set-string enabled=true
expect "null unsets every value that is empty by default" 'server()["image"] == "outflow:0.1.0" and one("Deployment")["metadata"]["name"] == "rel-outflow"' "${sqlite[@]}" -f "$(with '{"nameOverride":null,"fullnameOverride":null,"labels":null,"annotations":null,"image":{"tag":null,"digest":null},"imagePullSecrets":null,"catalog":null,"service":{"annotations":null,"nodePort":null},"serviceAccount":{"name":null,"annotations":null},"podLabels":null,"podAnnotations":null,"priorityClassName":null,"runtimeClassName":null,"dnsConfig":null,"hostAliases":null,"nodeSelector":null,"tolerations":null,"affinity":null,"extraEnv":null,"extraVolumes":null,"extraVolumeMounts":null,"initContainers":null,"extraContainers":null,"extraObjects":null,"networkPolicy":{"from":null,"to":null}}')"
expect "null in lists of peers of PostgreSQL" 'len(one("NetworkPolicy", "-migrations")["spec"]["egress"]) == 1' "${postgresql[@]}" --set-json 'networkPolicy={"database":{"to":null},"to":null,"extraEgress":null,"deliveries":null}'
expect "a registry in the repository is kept" 'server()["image"].startswith("registry.example.com/platform/outflow@") and pod()["imagePullSecrets"] == [{"name": "registry"}, {"name": "x"}]' "${maximal[@]}" --set-json 'global={"imageRegistry":"mirror.example.com","imagePullSecrets":["x"]}'
expect "a registry on localhost is kept" 'server()["image"] == "localhost:5000/outflow:0.1.0"' "${sqlite[@]}" --set image.repository=localhost:5000/outflow,global.imageRegistry=mirror.example.com
expect "names of pull secrets can be text" 'pod()["imagePullSecrets"] == [{"name": "a"}]' "${sqlite[@]}" --set 'imagePullSecrets={a}'
expect "labels and annotations can be numbers and booleans" 'one("Deployment")["metadata"]["labels"]["cost-center"] == "4711000" and one("Deployment")["spec"]["template"]["metadata"]["annotations"]["prometheus.io/scrape"] == "true"' "${sqlite[@]}" -f "$(with '{"labels":{"cost-center":4711000},"podAnnotations":{"prometheus.io/scrape":true}}')"
expect "the port of the Service as text" 'one("Service", "outflow")["spec"]["ports"][0]["port"] == 443' "${sqlite[@]}" --set-string service.port=443
expect "long names are shortened" 'all(len(d["metadata"]["name"]) <= 63 for d in docs) and len(one("Deployment")["metadata"]["name"]) == 40' "${postgresql[@]}" --set fullnameOverride=a-name-that-is-longer-than-forty-characters-and-ends-with-z

#!/bin/sh
# Makes what compose.yaml reads its secrets from, in deploy/secrets. What is there already is kept.
#
# The containers run as users of their own and read the files, so the files are readable; the folder lets nobody in but
# its owner.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
cd secrets

made() {
    chmod 444 "$1"
    echo "made deploy/secrets/$1" >&2
}

for name in postgres owner app backup; do
    file=${name}_password
    [ -e "$file" ] || { openssl rand -hex 24 >"$file"; made "$file"; }
done

# Signs the plugins of the image. For its owner only, as the program wants it.
[ -e publisher.key ] || {
    openssl genpkey -algorithm ed25519 -out publisher.key
    chmod 600 publisher.key
    echo "made deploy/secrets/publisher.key" >&2
}

[ -e gateway.toml ] || {
    cat >gateway.toml <<TOML
environment = "production"
bind = "0.0.0.0:8000"
# The load balancer's address in compose.yaml.
trusted_proxies = "172.30.80.10"
# Where buyers' browsers reach the load balancer.
public_url = "https://localhost"
metrics_bind = "0.0.0.0:9000"
data_dir = "/var/lib/onerouter"
plugins_dir = "/usr/local/lib/onerouter/plugins"
# Whoever has signed the plugins of the image, which is built here: the SHA-256 of the public key.
publisher_keys = "sha256:$(openssl pkey -in publisher.key -pubout -outform DER | tail -c 32 | openssl dgst -sha256 -r | cut -d ' ' -f 1)"
database_url = "postgres://onerouter_app:$(cat app_password)@postgres/onerouter"
redis_url = "redis://redis:6379"
encryption_key = "$(openssl rand -base64 32)"
admin_token = "$(openssl rand -hex 24)"
TOML
    made gateway.toml
}

[ -e migrate.toml ] || {
    cat >migrate.toml <<TOML
data_dir = "/tmp/onerouter"
database_url = "postgres://onerouter_app:$(cat app_password)@postgres/onerouter"
migrate_database_url = "postgres://onerouter_owner:$(cat owner_password)@postgres/onerouter"
TOML
    made migrate.toml
}

# For a trial. Put your own in its place.
[ -e tls.crt ] || {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout tls.key -out tls.crt 2>/dev/null
    made tls.crt
    made tls.key
}

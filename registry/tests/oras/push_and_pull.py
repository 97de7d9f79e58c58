"""Pushes a component and its signed statement with PyPI's `oras`, and pulls them again.

Arguments: registry (host:port), token, name, version, component, statement, new folder. Prints the digest of
the image. Run by `cargo test -p onerouter-registry` where ONEROUTER_TEST_ORAS_PYTHON names a Python that has
`oras`.
"""

import pathlib
import sys

import oras.oci
import oras.provider

STATEMENT = "application/vnd.onerouter.statement.v1+json"


def main() -> None:
    registry, token, name, version, component, statement, folder = sys.argv[1:]
    client = oras.provider.Registry(registry, insecure=True, auth_backend="basic")
    client.auth.set_basic_auth("publisher", token)
    target = f"{registry}/{name}:{version}"

    pushed = client.push(
        target=target, files=[f"{component}:application/wasm"], disable_path_validation=True
    )
    assert pushed.status_code == 201, pushed.text
    manifest = client.get_manifest(target)
    digest = pushed.headers["Docker-Content-Digest"]

    empty = pathlib.Path("empty.json")
    empty.write_bytes(b"{}")
    layer = oras.oci.NewLayer(statement, media_type=STATEMENT)
    config = oras.oci.NewLayer(str(empty), media_type="application/vnd.oci.empty.v1+json")
    container = client.get_container(f"{registry}/{name}:statement")
    for blob, path in ((layer, statement), (config, str(empty))):
        response = client.upload_blob(path, container, blob)
        assert response.status_code in (200, 201), response.text
    for blob in (layer, config):
        # Titles are for files that are pulled by name.
        blob.pop("annotations", None)
    referrer = oras.oci.NewManifest()
    referrer["layers"] = [layer]
    referrer["config"] = config
    referrer["artifactType"] = STATEMENT
    referrer["subject"] = {"mediaType": manifest["mediaType"], "digest": digest, "size": 1}
    response = client.upload_manifest(referrer, container)
    assert response.status_code == 201, response.text
    assert response.headers["OCI-Subject"] == digest

    files = client.pull(target=target, outdir=folder)
    assert pathlib.Path(files[0]).read_bytes() == pathlib.Path(component).read_bytes()
    assert version in client.get_tags(f"{registry}/{name}")
    print(digest)


if __name__ == "__main__":
    main()

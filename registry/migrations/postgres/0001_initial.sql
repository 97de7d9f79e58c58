create table registry_accounts (
    id uuid primary key,
    name text not null constraint registry_accounts_name_key unique,
    blob_bytes_max bigint not null,
    names_max bigint not null,
    created_at timestamptz not null
);

create table registry_tokens (
    id uuid primary key,
    account_id uuid not null references registry_accounts (id),
    label text not null,
    hash bytea not null constraint registry_tokens_hash_key unique,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz not null
);
create index registry_tokens_account_idx on registry_tokens (account_id);

-- A name is a plugin's, and its repository's. It belongs to the account that had it first.
create table registry_names (
    name text primary key,
    account_id uuid not null references registry_accounts (id),
    skeleton text not null,
    title text not null default '',
    summary text not null default '',
    categories text not null default '',
    latest text,
    downloads bigint not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create index registry_names_skeleton_idx on registry_names (skeleton);
create index registry_names_downloads_idx on registry_names (downloads);
create index registry_names_account_idx on registry_names (account_id);

create table registry_blobs (
    repository text not null,
    digest text not null,
    account_id uuid not null references registry_accounts (id),
    bytes bigint not null,
    object uuid not null,
    created_at timestamptz not null,
    constraint registry_blobs_pkey primary key (repository, digest)
);
create index registry_blobs_created_idx on registry_blobs (created_at);
create index registry_blobs_object_idx on registry_blobs (object);
create index registry_blobs_account_idx on registry_blobs (account_id);

create table registry_uploads (
    id uuid primary key,
    repository text not null,
    account_id uuid not null references registry_accounts (id),
    received bigint not null,
    expires_at timestamptz not null
);
create index registry_uploads_account_idx on registry_uploads (account_id);
create index registry_uploads_expires_idx on registry_uploads (expires_at);

create table registry_upload_chunks (
    upload_id uuid not null references registry_uploads (id) on delete cascade,
    start bigint not null,
    bytes bigint not null,
    object uuid not null,
    constraint registry_upload_chunks_pkey primary key (upload_id, start)
);
create index registry_upload_chunks_object_idx on registry_upload_chunks (object);

create table registry_manifests (
    repository text not null,
    digest text not null,
    account_id uuid not null references registry_accounts (id),
    media_type text not null,
    artifact_type text,
    subject text,
    annotations text,
    body bytea not null,
    bytes bigint not null,
    created_at timestamptz not null,
    constraint registry_manifests_pkey primary key (repository, digest)
);
create index registry_manifests_subject_idx on registry_manifests (repository, subject);
create index registry_manifests_account_idx on registry_manifests (account_id);

-- What a manifest needs, so that it is not swept away.
create table registry_manifest_blobs (
    repository text not null,
    manifest text not null,
    blob text not null,
    constraint registry_manifest_blobs_pkey primary key (repository, manifest, blob)
);
create index registry_manifest_blobs_blob_idx on registry_manifest_blobs (repository, blob);

create table registry_tags (
    repository text not null,
    tag text collate "C" not null,
    digest text not null,
    updated_at timestamptz not null,
    constraint registry_tags_pkey primary key (repository, tag)
);
create index registry_tags_digest_idx on registry_tags (repository, digest);

create table registry_keys (
    name text not null references registry_names (name),
    key_id text not null,
    public_key text not null,
    added_at timestamptz not null,
    revoked_at timestamptz,
    revoked_reason text,
    constraint registry_keys_pkey primary key (name, key_id)
);

create table registry_versions (
    name text not null references registry_names (name),
    version text not null,
    component text not null,
    component_bytes bigint not null,
    manifest text not null,
    key_id text not null,
    statement text not null,
    plugin_manifest text not null,
    capabilities text not null,
    yanked_reason text,
    published_at timestamptz not null,
    constraint registry_versions_pkey primary key (name, version)
);
create index registry_versions_component_idx on registry_versions (name, component);
create index registry_versions_manifest_idx on registry_versions (name, manifest);

create table registry_advisories (
    id text primary key,
    name text not null references registry_names (name),
    affected text not null,
    summary text not null,
    url text,
    created_at timestamptz not null
);
create index registry_advisories_name_idx on registry_advisories (name);

create table registry_downloads (
    name text not null references registry_names (name),
    version text not null,
    day text not null,
    count bigint not null,
    constraint registry_downloads_pkey primary key (name, version, day)
);

-- The log, and how far it goes. Whoever appends updates the one row of the latter first, which makes
-- writers queue in both databases.
create table registry_log (
    id bigint primary key check (id = 1),
    size bigint not null,
    hash text
);
insert into registry_log (id, size) values (1, 0);

create table registry_entries (
    position bigint primary key,
    entry text not null
);

-- JSON that is only ever read as a whole is text: it comes back as it was written.
--
-- Keys of tenants' tables start with the tenant, as every query on them does: listing the newest of a
-- quiet tenant never walks through the rows of busy ones.

create table tenants (
    id uuid not null,
    name text not null,
    created_at timestamptz not null,
    constraint tenants_pkey primary key (id),
    constraint tenants_name_check check (length(name) between 1 and 200)
);

create table api_keys (
    tenant_id uuid not null,
    id uuid not null,
    environment text not null,
    name text not null,
    hash bytea not null,
    prefix text not null,
    last4 text not null,
    scopes jsonb not null,
    rate_per_second bigint,
    rate_burst bigint,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz not null,
    constraint api_keys_pkey primary key (tenant_id, id),
    constraint api_keys_hash_key unique (hash),
    constraint api_keys_tenant_id_fkey foreign key (tenant_id) references tenants (id),
    constraint api_keys_environment_check check (environment in ('test', 'live')),
    constraint api_keys_hash_check check (length(hash) = 32),
    constraint api_keys_scopes_check check (jsonb_typeof(scopes) = 'array'),
    constraint api_keys_rate_check check (rate_per_second > 0 and rate_burst > 0)
);

create table key_directory (
    hash bytea not null,
    tenant_id uuid not null,
    key_id uuid not null,
    constraint key_directory_pkey primary key (hash)
);

create table connections (
    tenant_id uuid not null,
    id uuid not null,
    environment text not null,
    category text not null,
    provider text not null,
    label text not null default 'default',
    public jsonb not null,
    settings jsonb not null,
    secrets bytea not null,
    account text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    constraint connections_pkey primary key (tenant_id, id),
    constraint connections_tenant_id_fkey foreign key (tenant_id) references tenants (id),
    constraint connections_environment_check check (environment in ('test', 'live')),
    constraint connections_public_check check (jsonb_typeof(public) = 'object'),
    constraint connections_settings_check check (jsonb_typeof(settings) = 'object')
);

create unique index connections_slot_key
    on connections (tenant_id, environment, category, provider, label) where deleted_at is null;

create table connection_directory (
    connection_id uuid not null,
    tenant_id uuid not null,
    constraint connection_directory_pkey primary key (connection_id)
);

create table data_keys (
    tenant_id uuid not null,
    id uuid not null,
    environment text not null,
    master_key_id text not null,
    wrapped bytea not null,
    created_at timestamptz not null,
    retired_at timestamptz,
    constraint data_keys_pkey primary key (tenant_id, id),
    constraint data_keys_tenant_id_fkey foreign key (tenant_id) references tenants (id),
    constraint data_keys_environment_check check (environment in ('test', 'live'))
);

create unique index data_keys_active_key
    on data_keys (tenant_id, environment) where retired_at is null;

-- The tables from here on are written on every call. What refers to each other is written in one
-- transaction, so they have no foreign keys: each would lock a row that all share.

create table objects (
    tenant_id uuid not null,
    id uuid not null,
    environment text not null,
    kind text not null,
    provider text not null,
    connection_id uuid not null,
    status text not null,
    provider_ref text,
    request text not null,
    result text not null,
    metadata jsonb not null,
    version bigint not null,
    claimed_until timestamptz,
    refreshed_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint objects_pkey primary key (tenant_id, id),
    constraint objects_environment_check check (environment in ('test', 'live')),
    constraint objects_kind_check check (kind in ('sms', 'email')),
    constraint objects_status_check check (status ~ '^[a-z_]{1,40}$'),
    constraint objects_metadata_check check (jsonb_typeof(metadata) = 'object'),
    constraint objects_version_check check (version > 0)
);

create unique index objects_provider_ref_key
    on objects (connection_id, provider_ref) where provider_ref is not null;

create index objects_list_idx on objects (tenant_id, environment, kind, id);

-- Messages of which we do not know the provider's id: few, and only for a while.
create index objects_unbound_idx on objects (tenant_id, connection_id, created_at)
    where provider_ref is null;

-- The large part of a request, apart from the row that every change writes again.
create table object_contents (
    tenant_id uuid not null,
    object_id uuid not null,
    content text not null,
    constraint object_contents_pkey primary key (tenant_id, object_id)
);

create index objects_metadata_idx on objects using gin (metadata jsonb_path_ops);

create table attempts (
    tenant_id uuid not null,
    id uuid not null,
    object_id uuid not null,
    operation text not null,
    provider_key text not null,
    outcome text,
    detail text,
    started_at timestamptz not null,
    ended_at timestamptz,
    batch_id uuid,
    constraint attempts_pkey primary key (tenant_id, id),
    constraint attempts_ended_check check ((outcome is null) = (ended_at is null))
);

create index attempts_object_id_idx on attempts (tenant_id, object_id);

create table attempt_objects (
    tenant_id uuid not null,
    attempt_id uuid not null,
    object_id uuid not null,
    position bigint not null,
    constraint attempt_objects_pkey primary key (tenant_id, attempt_id, position)
);

create index attempt_objects_object_id_idx on attempt_objects (tenant_id, object_id);

create table idempotency_keys (
    tenant_id uuid not null,
    environment text not null,
    key text not null,
    route text not null,
    request_hash bytea not null,
    object_id uuid,
    state text not null,
    status bigint,
    body bytea,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    constraint idempotency_keys_pkey primary key (tenant_id, environment, key),
    constraint idempotency_keys_environment_check check (environment in ('test', 'live')),
    constraint idempotency_keys_key_check check (length(key) between 1 and 255),
    constraint idempotency_keys_request_hash_check check (length(request_hash) = 32),
    constraint idempotency_keys_state_check check (state in ('running', 'done', 'unknown')),
    constraint idempotency_keys_answer_check
        check ((state = 'done') = (status is not null) and (status is null) = (body is null))
);

create index idempotency_keys_object_id_idx
    on idempotency_keys (tenant_id, object_id) where object_id is not null;

create index idempotency_keys_expires_at_idx
    on idempotency_keys (tenant_id, expires_at) where state = 'done';

create table events (
    tenant_id uuid not null,
    id uuid not null,
    environment text not null,
    type text not null,
    object_id uuid not null,
    object_version bigint not null,
    data text not null,
    created_at timestamptz not null,
    constraint events_pkey primary key (tenant_id, id),
    constraint events_environment_check check (environment in ('test', 'live'))
);

create table call_logs (
    tenant_id uuid not null,
    id uuid not null,
    environment text not null,
    api_key_id uuid,
    method text not null,
    route text not null,
    status bigint not null,
    duration_us bigint not null,
    object_id uuid,
    provider text,
    code text,
    created_at timestamptz not null,
    constraint call_logs_pkey primary key (tenant_id, id),
    constraint call_logs_environment_check check (environment in ('test', 'live'))
);

create table due_work (
    tenant_id uuid not null,
    kind text not null,
    object_id uuid not null,
    at timestamptz not null,
    tries bigint not null,
    leased_until timestamptz,
    constraint due_work_pkey primary key (kind, object_id)
);

create index due_work_at_idx on due_work (kind, at);

insert into tenants (id, name, created_at)
values ('00000000-0000-7000-8000-000000000001', 'default', date_trunc('milliseconds', now()));

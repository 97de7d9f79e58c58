-- Calls of adapters, kept for a while so that a new version of a plugin can be tried with them before it
-- serves.

create table recorded_calls (
    tenant_id uuid not null,
    id uuid not null,
    environment text not null,
    connection_id uuid not null,
    plugin text not null,
    -- Of the component that served it.
    sha256 text not null,
    -- `sms.send`
    operation text not null,
    -- Parameters, requests, answers and result, encrypted with the tenant's data key.
    recording bytea not null,
    recorded_at timestamptz not null,
    constraint recorded_calls_pkey primary key (tenant_id, id),
    constraint recorded_calls_environment_check check (environment in ('test', 'live'))
);

create index recorded_calls_operation_idx
    on recorded_calls (tenant_id, environment, plugin, operation, id);
create index recorded_calls_sha256_idx on recorded_calls (tenant_id, sha256, id);

-- Whether a tenant's calls are kept.
create table recording_settings (
    tenant_id uuid not null,
    environment text not null,
    enabled boolean not null,
    -- Null while nobody has chosen.
    updated_at timestamptz,
    constraint recording_settings_pkey primary key (tenant_id, environment),
    constraint recording_settings_tenant_id_fkey foreign key (tenant_id) references tenants (id),
    constraint recording_settings_environment_check check (environment in ('test', 'live'))
);

-- Which tenants have calls of a version, which is known before a tenant is.
create table recording_directory (
    tenant_id uuid not null,
    sha256 text not null,
    -- The newest of them.
    recorded_at timestamptz not null,
    constraint recording_directory_pkey primary key (tenant_id, sha256)
);

create index recording_directory_sha256_idx on recording_directory (sha256, recorded_at);

do $$
declare
    name text;
begin
    foreach name in array array['recorded_calls', 'recording_settings'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy tenant on %I
             using (tenant_id = nullif(current_setting(''onerouter.tenant'', true), '''')::uuid)',
            name
        );
    end loop;
end
$$;

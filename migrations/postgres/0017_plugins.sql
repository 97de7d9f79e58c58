-- Which plugins are installed here, which version of each serves, and which nodes have followed. Nothing in
-- these tables belongs to a tenant: installing is for operators.

-- Components, by their digest: a node that comes later, or starts again, needs no registry. They do not
-- compress well, so they are not compressed.
create table plugin_components (
    sha256 text not null,
    component bytea not null,
    -- The publisher's signed statement, as it stands in a `.sig` file.
    statement bytea,
    constraint plugin_components_pkey primary key (sha256),
    constraint plugin_components_sha256_check check (sha256 ~ '^[0-9a-f]{64}$')
);
alter table plugin_components alter column component set storage external;

-- Versions that are installed. The same bytes are there once.
create table plugin_versions (
    id uuid not null,
    plugin text not null,
    version text not null,
    sha256 text not null,
    -- The manifest: the same JSON as in the component.
    manifest text not null,
    -- Where it came from, for people.
    source text not null,
    -- Whose key signed it; null where nobody did.
    publisher_key text,
    -- `operator`, `first_use`, `unsigned`.
    trusted_by text not null,
    -- What it may do more than what served when an operator agreed to it: sentences.
    approved jsonb not null default '[]',
    -- Why it serves no more and is not to be activated; null while it may.
    quarantine text,
    installed_at timestamptz not null,
    activated_at timestamptz,
    constraint plugin_versions_pkey primary key (id),
    constraint plugin_versions_plugin_sha256_key unique (plugin, sha256),
    constraint plugin_versions_sha256_fkey foreign key (sha256) references plugin_components (sha256),
    constraint plugin_versions_approved_check check (jsonb_typeof(approved) = 'array'),
    constraint plugin_versions_trusted_by_check
        check (trusted_by in ('operator', 'first_use', 'unsigned'))
);

create index plugin_versions_sha256_idx on plugin_versions (sha256);
create index plugin_versions_plugin_idx on plugin_versions (plugin, id);

-- What is wanted of each plugin; every node follows.
create table plugins (
    name text not null,
    id uuid not null,
    active_id uuid,
    -- Served before: stays loaded, so that going back needs nothing.
    previous_id uuid,
    canary_id uuid,
    -- Of all tenants, each always on the same side.
    canary_percent bigint not null default 0,
    -- Ids of tenants who are in it whatever the percentage.
    canary_tenants jsonb not null default '[]',
    -- Of `plugin_generation`, when this was last changed.
    generation bigint not null,
    changed_at timestamptz not null,
    -- Until when the version that serves is watched, as it has taken over from another.
    watched_until timestamptz,
    -- Why, where nobody asked for it.
    reason text,
    constraint plugins_pkey primary key (name),
    constraint plugins_id_key unique (id),
    constraint plugins_active_id_fkey foreign key (active_id) references plugin_versions (id),
    constraint plugins_previous_id_fkey foreign key (previous_id) references plugin_versions (id),
    constraint plugins_canary_id_fkey foreign key (canary_id) references plugin_versions (id),
    constraint plugins_canary_percent_check check (canary_percent between 0 and 100),
    constraint plugins_canary_tenants_check check (jsonb_typeof(canary_tenants) = 'array')
);

-- Grows with every change of what is wanted; whoever changes something locks it first.
create table plugin_generation (
    id smallint not null,
    value bigint not null,
    constraint plugin_generation_pkey primary key (id),
    constraint plugin_generation_id_check check (id = 1)
);

insert into plugin_generation (id, value) values (1, 0);

-- Whose keys may sign a plugin here.
create table plugin_keys (
    plugin text not null,
    key_id text not null,
    -- `operator`, `first_use`.
    trusted_by text not null,
    trusted_at timestamptz not null,
    constraint plugin_keys_pkey primary key (plugin, key_id),
    constraint plugin_keys_trusted_by_check check (trusted_by in ('operator', 'first_use'))
);

-- How far each node is, and what it says about the plugins it runs.
create table gateway_nodes (
    id uuid not null,
    generation bigint not null,
    report jsonb not null,
    started_at timestamptz not null,
    seen_at timestamptz not null,
    constraint gateway_nodes_pkey primary key (id)
);

-- What was removed or quarantined: it is not to come back by itself from a folder in which its file still
-- lies. Whoever installs it lifts that.
create table plugin_tombstones (
    plugin text not null,
    sha256 text not null,
    reason text not null,
    at timestamptz not null,
    constraint plugin_tombstones_pkey primary key (plugin, sha256)
);

-- Which plugins are installed here, which version of each serves, and which processes have followed. Nothing
-- in these tables belongs to a tenant: installing is for operators.

-- Components, by their digest: a process that starts again needs no registry.
create table plugin_components (
    sha256 text not null,
    component blob not null,
    -- The publisher's signed statement, as it stands in a `.sig` file.
    statement blob,
    constraint plugin_components_pkey primary key (sha256),
    constraint plugin_components_sha256_check check (length(sha256) = 64)
) strict;

-- Versions that are installed. The same bytes are there once.
create table plugin_versions (
    id blob not null,
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
    approved text not null default '[]',
    -- Why it serves no more and is not to be activated; null while it may.
    quarantine text,
    installed_at text not null,
    activated_at text,
    constraint plugin_versions_pkey primary key (id),
    constraint plugin_versions_plugin_sha256_key unique (plugin, sha256),
    constraint plugin_versions_sha256_fkey foreign key (sha256) references plugin_components (sha256),
    constraint plugin_versions_approved_check check (json_type(approved) = 'array'),
    constraint plugin_versions_trusted_by_check
        check (trusted_by in ('operator', 'first_use', 'unsigned'))
) strict, without rowid;

create index plugin_versions_sha256_idx on plugin_versions (sha256);
create index plugin_versions_plugin_idx on plugin_versions (plugin, id);

-- What is wanted of each plugin; every process follows.
create table plugins (
    name text not null,
    id blob not null,
    active_id blob,
    -- Served before: stays loaded, so that going back needs nothing.
    previous_id blob,
    canary_id blob,
    -- Of all tenants, each always on the same side.
    canary_percent integer not null default 0,
    -- Ids of tenants who are in it whatever the percentage.
    canary_tenants text not null default '[]',
    -- Of `plugin_generation`, when this was last changed.
    generation integer not null,
    changed_at text not null,
    -- Until when the version that serves is watched, as it has taken over from another.
    watched_until text,
    -- Why, where nobody asked for it.
    reason text,
    constraint plugins_pkey primary key (name),
    constraint plugins_id_key unique (id),
    constraint plugins_active_id_fkey foreign key (active_id) references plugin_versions (id),
    constraint plugins_previous_id_fkey foreign key (previous_id) references plugin_versions (id),
    constraint plugins_canary_id_fkey foreign key (canary_id) references plugin_versions (id),
    constraint plugins_canary_percent_check check (canary_percent between 0 and 100),
    constraint plugins_canary_tenants_check check (json_type(canary_tenants) = 'array')
) strict, without rowid;

-- Grows with every change of what is wanted.
create table plugin_generation (
    id integer not null check (id = 1),
    value integer not null,
    constraint plugin_generation_pkey primary key (id)
) strict;

insert into plugin_generation (id, value) values (1, 0);

-- Whose keys may sign a plugin here.
create table plugin_keys (
    plugin text not null,
    key_id text not null,
    -- `operator`, `first_use`.
    trusted_by text not null,
    trusted_at text not null,
    constraint plugin_keys_pkey primary key (plugin, key_id),
    constraint plugin_keys_trusted_by_check check (trusted_by in ('operator', 'first_use'))
) strict, without rowid;

-- How far each process is, and what it says about the plugins it runs.
create table gateway_nodes (
    id blob not null,
    generation integer not null,
    report text not null,
    started_at text not null,
    seen_at text not null,
    constraint gateway_nodes_pkey primary key (id)
) strict, without rowid;

-- What was removed or quarantined: it is not to come back by itself from a folder in which its file still
-- lies. Whoever installs it lifts that.
create table plugin_tombstones (
    plugin text not null,
    sha256 text not null,
    reason text not null,
    at text not null,
    constraint plugin_tombstones_pkey primary key (plugin, sha256)
) strict, without rowid;

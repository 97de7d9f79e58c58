-- What became of publishers' keys and of versions after they were installed.

-- Keys that an operator no longer trusts: they may sign nothing, whatever the settings name and whoever is
-- seen first, until an operator names one again.
create table plugin_distrusted_keys (
    key_id text not null,
    distrusted_at text not null,
    constraint plugin_distrusted_keys_pkey primary key (key_id)
) strict, without rowid;

-- What its registry said of a version last: that its key was revoked, that it was yanked, what should be
-- known about it.
alter table plugin_versions add column standing text not null default '{}'
    constraint plugin_versions_standing_check check (json_type(standing) = 'object');

-- When a tenant was deleted. Its row stays, for the audit log that names it.
alter table tenants add column deleted_at text;

-- A replica asks for the files of bundles by digest; whether one is a bundle's is one look here.

CREATE TABLE bundle_files (
  sha256 TEXT PRIMARY KEY                    -- of a version's manifest or model.pt
) STRICT, WITHOUT ROWID;
INSERT INTO bundle_files SELECT bundle FROM versions WHERE true ON CONFLICT DO NOTHING;
INSERT INTO bundle_files SELECT json_extract(manifest_json, '$.files."model.pt".sha256') AS file FROM versions
  WHERE file IS NOT NULL ON CONFLICT DO NOTHING;

CREATE INDEX releases_forced ON releases (model, to_version) WHERE kind = 'force';

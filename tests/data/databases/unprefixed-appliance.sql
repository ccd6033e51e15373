BEGIN TRANSACTION;
CREATE TABLE account (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, username VARCHAR(100) NOT NULL UNIQUE,
            password_hash VARCHAR(100) NOT NULL, stamp VARCHAR(32) NOT NULL,
            firstname VARCHAR(45), lastname VARCHAR(45), email VARCHAR(100),
            created DOUBLE NOT NULL, updated DOUBLE NOT NULL
        );
INSERT INTO "account" VALUES(1,'anna','$2b$12$constructed-for-tests-no-hash-of-any-password..........','2bbbbfd4cbb029d6646867fca017d705','Anna',NULL,NULL,1801436505.0,1801436505.0);
CREATE TABLE account_role (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL,
            role VARCHAR(45) NOT NULL, UNIQUE (account, role)
        );
INSERT INTO "account_role" VALUES(1,1,'Administrator');
CREATE TABLE api_token (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name VARCHAR(100) NOT NULL UNIQUE,
            role VARCHAR(45) NOT NULL, digest VARCHAR(64) NOT NULL UNIQUE,
            created DOUBLE NOT NULL, expires DOUBLE, owner INTEGER
        );
INSERT INTO "api_token" VALUES(1,'grafana','User','abababababababababababababababababababababababababababababababab',1801436000.0,NULL,1);
CREATE TABLE audit (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, happened DOUBLE NOT NULL,
            who VARCHAR(100) NOT NULL, address VARCHAR(45) NOT NULL, action VARCHAR(200) NOT NULL,
            detail VARCHAR(500) NOT NULL, status INTEGER
        , room VARCHAR(14) NOT NULL DEFAULT 'administrators');
INSERT INTO "audit" VALUES(1,1801436000.0,'anna','192.0.2.77','POST /api/v1/admin/users','bob',201,'administrators');
CREATE TABLE exporter (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, address VARCHAR(45) NOT NULL UNIQUE,
            name VARCHAR(255) NOT NULL, created DOUBLE NOT NULL, updated DOUBLE NOT NULL
        , info VARCHAR(1000) NOT NULL DEFAULT '');
INSERT INTO "exporter" VALUES(1,'192.0.2.1','core',1801433000.0,1801436500.0,'first floor');
INSERT INTO "exporter" VALUES(2,'192.0.2.2','',1801433000.0,1801433000.0,'');
CREATE TABLE forgotten_exporter (
            id INTEGER NOT NULL PRIMARY KEY, address VARCHAR(45) NOT NULL,
            forgotten DOUBLE NOT NULL, pending TINYINT NOT NULL
        );
INSERT INTO "forgotten_exporter" VALUES(3,'192.0.2.99',1801436500.0,0);
CREATE TABLE role (name VARCHAR(45) NOT NULL PRIMARY KEY);
INSERT INTO "role" VALUES('Administrator');
INSERT INTO "role" VALUES('User');
CREATE TABLE schema_version (what VARCHAR(20) NOT NULL PRIMARY KEY, version INTEGER NOT NULL);
INSERT INTO "schema_version" VALUES('appliance',6);
CREATE TABLE sign_in_attempts (
            name VARCHAR(80) NOT NULL PRIMARY KEY, failures INTEGER NOT NULL,
            latest DOUBLE NOT NULL, blocked_until DOUBLE NOT NULL
        );
INSERT INTO "sign_in_attempts" VALUES('eve',3,1801436000.0,1801436060.0);
CREATE TABLE sign_in_client (
            account INTEGER NOT NULL, client VARCHAR(45) NOT NULL, latest DOUBLE NOT NULL,
            PRIMARY KEY (account, client)
        ) WITHOUT ROWID;
INSERT INTO "sign_in_client" VALUES(1,'192.0.2.77',1801436000.0);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('exporter',3);
INSERT INTO "sqlite_sequence" VALUES('account',2);
INSERT INTO "sqlite_sequence" VALUES('account_role',2);
INSERT INTO "sqlite_sequence" VALUES('api_token',1);
INSERT INTO "sqlite_sequence" VALUES('audit',1);
COMMIT;

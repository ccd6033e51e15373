/*M!999999\- enable the sandbox mode */ 
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: flows_1
-- ------------------------------------------------------
-- Server version	10.11.19-MariaDB-0+deb12u1

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;

--
-- Table structure for table `account`
--

DROP TABLE IF EXISTS `account`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `account` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `username` varchar(100) NOT NULL,
  `password_hash` varchar(100) NOT NULL,
  `stamp` varchar(32) NOT NULL,
  `firstname` varchar(45) DEFAULT NULL,
  `lastname` varchar(45) DEFAULT NULL,
  `email` varchar(100) DEFAULT NULL,
  `created` double NOT NULL,
  `updated` double NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `username` (`username`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `account`
--

LOCK TABLES `account` WRITE;
/*!40000 ALTER TABLE `account` DISABLE KEYS */;
INSERT INTO `account` VALUES
(1,'anna','$2b$12$constructed-for-tests-no-hash-of-any-password..........','9050f1a693de11648465e2682bdbc290','Anna',NULL,NULL,1801436505,1801436505);
/*!40000 ALTER TABLE `account` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `account_role`
--

DROP TABLE IF EXISTS `account_role`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `account_role` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `account` int(11) NOT NULL,
  `role` varchar(45) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `account` (`account`,`role`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `account_role`
--

LOCK TABLES `account_role` WRITE;
/*!40000 ALTER TABLE `account_role` DISABLE KEYS */;
INSERT INTO `account_role` VALUES
(1,1,'Administrator');
/*!40000 ALTER TABLE `account_role` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `api_token`
--

DROP TABLE IF EXISTS `api_token`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `api_token` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `name` varchar(100) NOT NULL,
  `role` varchar(45) NOT NULL,
  `digest` varchar(64) NOT NULL,
  `created` double NOT NULL,
  `expires` double DEFAULT NULL,
  `owner` int(11) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `name` (`name`),
  UNIQUE KEY `digest` (`digest`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `api_token`
--

LOCK TABLES `api_token` WRITE;
/*!40000 ALTER TABLE `api_token` DISABLE KEYS */;
INSERT INTO `api_token` VALUES
(1,'grafana','User','abababababababababababababababababababababababababababababababab',1801436000,NULL,1);
/*!40000 ALTER TABLE `api_token` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `application`
--

DROP TABLE IF EXISTS `application`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `application` (
  `exporter` varchar(45) NOT NULL,
  `application_id` varchar(20) NOT NULL,
  `name` varchar(128) NOT NULL,
  PRIMARY KEY (`exporter`,`application_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `application`
--

LOCK TABLES `application` WRITE;
/*!40000 ALTER TABLE `application` DISABLE KEYS */;
INSERT INTO `application` VALUES
('192.0.2.1','17','webex');
/*!40000 ALTER TABLE `application` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `audit`
--

DROP TABLE IF EXISTS `audit`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `audit` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `happened` double NOT NULL,
  `who` varchar(100) NOT NULL,
  `address` varchar(45) NOT NULL,
  `action` varchar(200) NOT NULL,
  `detail` varchar(500) NOT NULL,
  `status` int(11) DEFAULT NULL,
  `room` varchar(14) NOT NULL DEFAULT 'administrators',
  PRIMARY KEY (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `audit`
--

LOCK TABLES `audit` WRITE;
/*!40000 ALTER TABLE `audit` DISABLE KEYS */;
INSERT INTO `audit` VALUES
(1,1801436000,'anna','192.0.2.77','POST /api/v1/admin/users','bob',201,'administrators');
/*!40000 ALTER TABLE `audit` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `event`
--

DROP TABLE IF EXISTS `event`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `event` (
  `happened` bigint(20) NOT NULL,
  `content` varchar(500) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `event`
--

LOCK TABLES `event` WRITE;
/*!40000 ALTER TABLE `event` DISABLE KEYS */;
INSERT INTO `event` VALUES
(1801436000,'an event');
/*!40000 ALTER TABLE `event` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `exporter`
--

DROP TABLE IF EXISTS `exporter`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `exporter` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `address` varchar(45) NOT NULL,
  `name` varchar(255) NOT NULL,
  `created` double NOT NULL,
  `updated` double NOT NULL,
  `info` varchar(1000) NOT NULL DEFAULT '',
  PRIMARY KEY (`id`),
  UNIQUE KEY `address` (`address`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `exporter`
--

LOCK TABLES `exporter` WRITE;
/*!40000 ALTER TABLE `exporter` DISABLE KEYS */;
INSERT INTO `exporter` VALUES
(1,'192.0.2.1','core',1801433000,1801436500,'first floor'),
(2,'192.0.2.2','',1801433000,1801433000,'');
/*!40000 ALTER TABLE `exporter` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `forgotten_exporter`
--

DROP TABLE IF EXISTS `forgotten_exporter`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `forgotten_exporter` (
  `id` int(11) NOT NULL,
  `address` varchar(45) NOT NULL,
  `forgotten` double NOT NULL,
  `pending` tinyint(4) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `forgotten_exporter`
--

LOCK TABLES `forgotten_exporter` WRITE;
/*!40000 ALTER TABLE `forgotten_exporter` DISABLE KEYS */;
INSERT INTO `forgotten_exporter` VALUES
(3,'192.0.2.99',1801436500,0);
/*!40000 ALTER TABLE `forgotten_exporter` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `known_exporter`
--

DROP TABLE IF EXISTS `known_exporter`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `known_exporter` (
  `id` int(11) NOT NULL,
  `address` varchar(45) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `address` (`address`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `known_exporter`
--

LOCK TABLES `known_exporter` WRITE;
/*!40000 ALTER TABLE `known_exporter` DISABLE KEYS */;
INSERT INTO `known_exporter` VALUES
(1,'192.0.2.1'),
(2,'192.0.2.2');
/*!40000 ALTER TABLE `known_exporter` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `progress`
--

DROP TABLE IF EXISTS `progress`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `progress` (
  `id` int(11) NOT NULL,
  `content` mediumtext NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `progress`
--

LOCK TABLES `progress` WRITE;
/*!40000 ALTER TABLE `progress` DISABLE KEYS */;
INSERT INTO `progress` VALUES
(1,'{\"counters\": {\"exporters_forgotten\": 1}, \"floor\": 0, \"flows\": [1, 29], \"generation\": 1, \"highest_exporter\": 3, \"loaded\": 1801436520.0, \"newest\": 1801436460, \"oldest\": 1801432680, \"open\": {\"1801432740\": [0, 0], \"1801432800\": [0, 0], \"1801436460\": [1, 24]}, \"options\": [0, 0], \"until\": [0, 0], \"unwritten\": {}}');
/*!40000 ALTER TABLE `progress` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `role`
--

DROP TABLE IF EXISTS `role`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `role` (
  `name` varchar(45) NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `role`
--

LOCK TABLES `role` WRITE;
/*!40000 ALTER TABLE `role` DISABLE KEYS */;
INSERT INTO `role` VALUES
('Administrator'),
('User');
/*!40000 ALTER TABLE `role` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `rollup`
--

DROP TABLE IF EXISTS `rollup`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `rollup` (
  `dimension` tinyint(4) NOT NULL,
  `size` tinyint(4) NOT NULL,
  `exporter` int(11) NOT NULL,
  `direction` tinyint(4) NOT NULL,
  `bin_start` bigint(20) NOT NULL,
  `flags` tinyint(4) NOT NULL,
  `name` varchar(128) NOT NULL,
  `octets` bigint(20) NOT NULL,
  `packets` bigint(20) NOT NULL,
  `flows` bigint(20) NOT NULL,
  PRIMARY KEY (`dimension`,`size`,`exporter`,`direction`,`bin_start`,`flags`,`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `rollup`
--

LOCK TABLES `rollup` WRITE;
/*!40000 ALTER TABLE `rollup` DISABLE KEYS */;
INSERT INTO `rollup` VALUES
(0,0,0,0,1801432680,0,'',456520,353,8),
(0,0,0,0,1801432740,0,'',508538,388,8),
(0,0,0,0,1801432800,0,'',386385,272,8),
(0,0,0,0,1801436460,0,'',357522,276,5),
(0,0,1,0,1801432680,0,'',158403,166,3),
(0,0,1,0,1801432740,0,'',363765,298,6),
(0,0,1,0,1801432800,0,'',238483,152,4),
(0,0,2,0,1801432680,0,'',298117,187,5),
(0,0,2,0,1801432740,0,'',144773,90,2),
(0,0,2,0,1801432800,0,'',147902,120,4),
(0,1,0,0,1801431900,0,'',965058,741,16),
(0,1,0,0,1801432800,0,'',386385,272,8),
(0,1,0,0,1801436400,0,'',357522,276,5),
(0,1,1,0,1801431900,0,'',522168,464,9),
(0,1,1,0,1801432800,0,'',238483,152,4),
(0,1,2,0,1801431900,0,'',442890,277,7),
(0,1,2,0,1801432800,0,'',147902,120,4),
(0,2,0,0,1801429200,0,'',965058,741,16),
(0,2,0,0,1801432800,0,'',386385,272,8),
(0,2,0,0,1801436400,0,'',357522,276,5),
(0,2,1,0,1801429200,0,'',522168,464,9),
(0,2,1,0,1801432800,0,'',238483,152,4),
(0,2,2,0,1801429200,0,'',442890,277,7),
(0,2,2,0,1801432800,0,'',147902,120,4),
(0,3,0,0,1801353600,0,'',1708965,1289,29),
(0,3,1,0,1801353600,0,'',760651,616,13),
(0,3,2,0,1801353600,0,'',590792,397,11),
(0,4,0,0,1798761600,0,'',1708965,1289,29),
(0,4,1,0,1798761600,0,'',760651,616,13),
(0,4,2,0,1798761600,0,'',590792,397,11),
(1,0,0,0,1801432680,0,'17',123885,28,2),
(1,0,0,0,1801432680,0,'6',332635,325,6),
(1,0,0,0,1801432740,0,'17',379036,307,6),
(1,0,0,0,1801432740,0,'6',129502,81,2),
(1,0,0,0,1801432800,0,'17',87377,169,3),
(1,0,0,0,1801432800,0,'6',299008,103,5),
(1,0,0,0,1801436460,0,'17',227537,125,3),
(1,0,0,0,1801436460,0,'6',129985,151,2),
(1,0,1,0,1801432680,0,'6',158403,166,3),
(1,0,1,0,1801432740,0,'17',331924,287,5),
(1,0,1,0,1801432740,0,'6',31841,11,1),
(1,0,1,0,1801432800,0,'17',83029,122,2),
(1,0,1,0,1801432800,0,'6',155454,30,2),
(1,0,2,0,1801432680,0,'17',123885,28,2),
(1,0,2,0,1801432680,0,'6',174232,159,3),
(1,0,2,0,1801432740,0,'17',47112,20,1),
(1,0,2,0,1801432740,0,'6',97661,70,1),
(1,0,2,0,1801432800,0,'17',4348,47,1),
(1,0,2,0,1801432800,0,'6',143554,73,3),
(1,1,0,0,1801431900,0,'17',502921,335,8),
(1,1,0,0,1801431900,0,'6',462137,406,8),
(1,1,0,0,1801432800,0,'17',87377,169,3),
(1,1,0,0,1801432800,0,'6',299008,103,5),
(1,1,0,0,1801436400,0,'17',227537,125,3),
(1,1,0,0,1801436400,0,'6',129985,151,2),
(1,1,1,0,1801431900,0,'17',331924,287,5),
(1,1,1,0,1801431900,0,'6',190244,177,4),
(1,1,1,0,1801432800,0,'17',83029,122,2),
(1,1,1,0,1801432800,0,'6',155454,30,2),
(1,1,2,0,1801431900,0,'17',170997,48,3),
(1,1,2,0,1801431900,0,'6',271893,229,4),
(1,1,2,0,1801432800,0,'17',4348,47,1),
(1,1,2,0,1801432800,0,'6',143554,73,3),
(1,2,0,0,1801429200,0,'17',502921,335,8),
(1,2,0,0,1801429200,0,'6',462137,406,8),
(1,2,0,0,1801432800,0,'17',87377,169,3),
(1,2,0,0,1801432800,0,'6',299008,103,5),
(1,2,0,0,1801436400,0,'17',227537,125,3),
(1,2,0,0,1801436400,0,'6',129985,151,2),
(1,2,1,0,1801429200,0,'17',331924,287,5),
(1,2,1,0,1801429200,0,'6',190244,177,4),
(1,2,1,0,1801432800,0,'17',83029,122,2),
(1,2,1,0,1801432800,0,'6',155454,30,2),
(1,2,2,0,1801429200,0,'17',170997,48,3),
(1,2,2,0,1801429200,0,'6',271893,229,4),
(1,2,2,0,1801432800,0,'17',4348,47,1),
(1,2,2,0,1801432800,0,'6',143554,73,3),
(1,3,0,0,1801353600,0,'17',817835,629,14),
(1,3,0,0,1801353600,0,'6',891130,660,15),
(1,3,1,0,1801353600,0,'17',414953,409,7),
(1,3,1,0,1801353600,0,'6',345698,207,6),
(1,3,2,0,1801353600,0,'17',175345,95,4),
(1,3,2,0,1801353600,0,'6',415447,302,7),
(1,4,0,0,1798761600,0,'17',817835,629,14),
(1,4,0,0,1798761600,0,'6',891130,660,15),
(1,4,1,0,1798761600,0,'17',414953,409,7),
(1,4,1,0,1798761600,0,'6',345698,207,6),
(1,4,2,0,1798761600,0,'17',175345,95,4),
(1,4,2,0,1798761600,0,'6',415447,302,7),
(2,0,0,0,1801432680,0,'domain',109454,141,3),
(2,0,0,0,1801432680,0,'http',92496,30,1),
(2,0,0,0,1801432680,0,'https',104262,114,2),
(2,0,0,0,1801432680,0,'ssh',150308,68,2),
(2,0,0,0,1801432740,0,'domain',69521,115,2),
(2,0,0,0,1801432740,0,'http',92424,11,1),
(2,0,0,0,1801432740,0,'https',220248,129,3),
(2,0,0,0,1801432740,0,'ssh',126345,133,2),
(2,0,0,0,1801432800,0,'domain',232790,39,3),
(2,0,0,0,1801432800,0,'http',130181,160,3),
(2,0,0,0,1801432800,0,'https',23414,73,2),
(2,0,0,0,1801436460,0,'domain',189882,138,2),
(2,0,0,0,1801436460,0,'https',94363,120,2),
(2,0,0,0,1801436460,0,'ssh',73277,18,1),
(2,0,1,0,1801432680,0,'https',104262,114,2),
(2,0,1,0,1801432680,0,'ssh',54141,52,1),
(2,0,1,0,1801432740,0,'domain',22409,95,1),
(2,0,1,0,1801432740,0,'http',92424,11,1),
(2,0,1,0,1801432740,0,'https',122587,59,2),
(2,0,1,0,1801432740,0,'ssh',126345,133,2),
(2,0,1,0,1801432800,0,'domain',155454,30,2),
(2,0,1,0,1801432800,0,'http',83029,122,2),
(2,0,2,0,1801432680,0,'domain',109454,141,3),
(2,0,2,0,1801432680,0,'http',92496,30,1),
(2,0,2,0,1801432680,0,'ssh',96167,16,1),
(2,0,2,0,1801432740,0,'domain',47112,20,1),
(2,0,2,0,1801432740,0,'https',97661,70,1),
(2,0,2,0,1801432800,0,'domain',77336,9,1),
(2,0,2,0,1801432800,0,'http',47152,38,1),
(2,0,2,0,1801432800,0,'https',23414,73,2),
(2,1,0,0,1801431900,0,'domain',178975,256,5),
(2,1,0,0,1801431900,0,'http',184920,41,2),
(2,1,0,0,1801431900,0,'https',324510,243,5),
(2,1,0,0,1801431900,0,'ssh',276653,201,4),
(2,1,0,0,1801432800,0,'domain',232790,39,3),
(2,1,0,0,1801432800,0,'http',130181,160,3),
(2,1,0,0,1801432800,0,'https',23414,73,2),
(2,1,0,0,1801436400,0,'domain',189882,138,2),
(2,1,0,0,1801436400,0,'https',94363,120,2),
(2,1,0,0,1801436400,0,'ssh',73277,18,1),
(2,1,1,0,1801431900,0,'domain',22409,95,1),
(2,1,1,0,1801431900,0,'http',92424,11,1),
(2,1,1,0,1801431900,0,'https',226849,173,4),
(2,1,1,0,1801431900,0,'ssh',180486,185,3),
(2,1,1,0,1801432800,0,'domain',155454,30,2),
(2,1,1,0,1801432800,0,'http',83029,122,2),
(2,1,2,0,1801431900,0,'domain',156566,161,4),
(2,1,2,0,1801431900,0,'http',92496,30,1),
(2,1,2,0,1801431900,0,'https',97661,70,1),
(2,1,2,0,1801431900,0,'ssh',96167,16,1),
(2,1,2,0,1801432800,0,'domain',77336,9,1),
(2,1,2,0,1801432800,0,'http',47152,38,1),
(2,1,2,0,1801432800,0,'https',23414,73,2),
(2,2,0,0,1801429200,0,'domain',178975,256,5),
(2,2,0,0,1801429200,0,'http',184920,41,2),
(2,2,0,0,1801429200,0,'https',324510,243,5),
(2,2,0,0,1801429200,0,'ssh',276653,201,4),
(2,2,0,0,1801432800,0,'domain',232790,39,3),
(2,2,0,0,1801432800,0,'http',130181,160,3),
(2,2,0,0,1801432800,0,'https',23414,73,2),
(2,2,0,0,1801436400,0,'domain',189882,138,2),
(2,2,0,0,1801436400,0,'https',94363,120,2),
(2,2,0,0,1801436400,0,'ssh',73277,18,1),
(2,2,1,0,1801429200,0,'domain',22409,95,1),
(2,2,1,0,1801429200,0,'http',92424,11,1),
(2,2,1,0,1801429200,0,'https',226849,173,4),
(2,2,1,0,1801429200,0,'ssh',180486,185,3),
(2,2,1,0,1801432800,0,'domain',155454,30,2),
(2,2,1,0,1801432800,0,'http',83029,122,2),
(2,2,2,0,1801429200,0,'domain',156566,161,4),
(2,2,2,0,1801429200,0,'http',92496,30,1),
(2,2,2,0,1801429200,0,'https',97661,70,1),
(2,2,2,0,1801429200,0,'ssh',96167,16,1),
(2,2,2,0,1801432800,0,'domain',77336,9,1),
(2,2,2,0,1801432800,0,'http',47152,38,1),
(2,2,2,0,1801432800,0,'https',23414,73,2),
(2,3,0,0,1801353600,0,'domain',601647,433,10),
(2,3,0,0,1801353600,0,'http',315101,201,5),
(2,3,0,0,1801353600,0,'https',442287,436,9),
(2,3,0,0,1801353600,0,'ssh',349930,219,5),
(2,3,1,0,1801353600,0,'domain',177863,125,3),
(2,3,1,0,1801353600,0,'http',175453,133,3),
(2,3,1,0,1801353600,0,'https',226849,173,4),
(2,3,1,0,1801353600,0,'ssh',180486,185,3),
(2,3,2,0,1801353600,0,'domain',233902,170,5),
(2,3,2,0,1801353600,0,'http',139648,68,2),
(2,3,2,0,1801353600,0,'https',121075,143,3),
(2,3,2,0,1801353600,0,'ssh',96167,16,1),
(2,4,0,0,1798761600,0,'domain',601647,433,10),
(2,4,0,0,1798761600,0,'http',315101,201,5),
(2,4,0,0,1798761600,0,'https',442287,436,9),
(2,4,0,0,1798761600,0,'ssh',349930,219,5),
(2,4,1,0,1798761600,0,'domain',177863,125,3),
(2,4,1,0,1798761600,0,'http',175453,133,3),
(2,4,1,0,1798761600,0,'https',226849,173,4),
(2,4,1,0,1798761600,0,'ssh',180486,185,3),
(2,4,2,0,1798761600,0,'domain',233902,170,5),
(2,4,2,0,1798761600,0,'http',139648,68,2),
(2,4,2,0,1798761600,0,'https',121075,143,3),
(2,4,2,0,1798761600,0,'ssh',96167,16,1),
(3,0,0,0,1801432680,7,'198.51.100.0',74920,72,1),
(3,0,0,0,1801432680,7,'198.51.100.1',318213,197,5),
(3,0,0,0,1801432680,7,'198.51.100.3',63387,84,2),
(3,0,0,0,1801432680,8,'',0,0,0),
(3,0,0,0,1801432680,17,'',0,0,0),
(3,0,0,0,1801432680,18,'',0,0,0),
(3,0,0,0,1801432680,20,'',0,0,0),
(3,0,0,0,1801432740,7,'198.51.100.0',116500,108,2),
(3,0,0,0,1801432740,7,'198.51.100.1',97661,70,1),
(3,0,0,0,1801432740,7,'198.51.100.2',124265,22,2),
(3,0,0,0,1801432740,7,'198.51.100.3',170112,188,3),
(3,0,0,0,1801432740,8,'',0,0,0),
(3,0,0,0,1801432740,17,'',0,0,0),
(3,0,0,0,1801432740,18,'',0,0,0),
(3,0,0,0,1801432740,20,'',0,0,0),
(3,0,0,0,1801432800,7,'198.51.100.0',170859,60,3),
(3,0,0,0,1801432800,7,'198.51.100.1',191029,160,4),
(3,0,0,0,1801432800,7,'198.51.100.2',24497,52,1),
(3,0,0,0,1801432800,8,'',0,0,0),
(3,0,0,0,1801432800,17,'',0,0,0),
(3,0,0,0,1801432800,18,'',0,0,0),
(3,0,0,0,1801432800,20,'',0,0,0),
(3,0,0,0,1801436460,7,'198.51.100.0',170171,64,2),
(3,0,0,0,1801436460,7,'198.51.100.1',187351,212,3),
(3,0,0,0,1801436460,8,'',0,0,0),
(3,0,0,0,1801436460,17,'',0,0,0),
(3,0,0,0,1801436460,18,'',0,0,0),
(3,0,0,0,1801436460,20,'',0,0,0),
(3,2,0,0,1801429200,7,'198.51.100.0',191420,180,3),
(3,2,0,0,1801429200,7,'198.51.100.1',415874,267,6),
(3,2,0,0,1801429200,7,'198.51.100.2',124265,22,2),
(3,2,0,0,1801429200,7,'198.51.100.3',233499,272,5),
(3,2,0,0,1801429200,8,'',0,0,0),
(3,2,0,0,1801429200,17,'',0,0,0),
(3,2,0,0,1801429200,18,'',0,0,0),
(3,2,0,0,1801429200,20,'',0,0,0),
(3,2,1,0,1801429200,7,'198.51.100.0',144308,160,2),
(3,2,1,0,1801429200,7,'198.51.100.1',29342,42,1),
(3,2,1,0,1801429200,7,'198.51.100.2',124265,22,2),
(3,2,1,0,1801429200,7,'198.51.100.3',224253,240,4),
(3,2,1,0,1801429200,8,'',0,0,0),
(3,2,1,0,1801429200,17,'',0,0,0),
(3,2,1,0,1801429200,18,'',0,0,0),
(3,2,1,0,1801429200,20,'',0,0,0),
(3,2,1,0,1801432800,7,'198.51.100.0',89175,4,1),
(3,2,1,0,1801432800,7,'198.51.100.1',124811,96,2),
(3,2,1,0,1801432800,7,'198.51.100.2',24497,52,1),
(3,2,1,0,1801432800,8,'',0,0,0),
(3,2,1,0,1801432800,17,'',0,0,0),
(3,2,1,0,1801432800,18,'',0,0,0),
(3,2,1,0,1801432800,20,'',0,0,0),
(3,2,2,0,1801429200,7,'198.51.100.0',47112,20,1),
(3,2,2,0,1801429200,7,'198.51.100.1',386532,225,5),
(3,2,2,0,1801429200,7,'198.51.100.3',9246,32,1),
(3,2,2,0,1801429200,8,'',0,0,0),
(3,2,2,0,1801429200,17,'',0,0,0),
(3,2,2,0,1801429200,18,'',0,0,0),
(3,2,2,0,1801429200,20,'',0,0,0),
(3,2,2,0,1801432800,7,'198.51.100.0',81684,56,2),
(3,2,2,0,1801432800,7,'198.51.100.1',66218,64,2),
(3,2,2,0,1801432800,8,'',0,0,0),
(3,2,2,0,1801432800,17,'',0,0,0),
(3,2,2,0,1801432800,18,'',0,0,0),
(3,2,2,0,1801432800,20,'',0,0,0),
(4,0,0,0,1801432680,7,'10.0.0.0',72490,97,1),
(4,0,0,0,1801432680,7,'10.0.0.1',9246,32,1),
(4,0,0,0,1801432680,7,'10.0.0.11',54141,52,1),
(4,0,0,0,1801432680,7,'10.0.0.12',121838,72,2),
(4,0,0,0,1801432680,7,'10.0.0.8',123885,28,2),
(4,0,0,0,1801432680,7,'10.0.0.9',74920,72,1),
(4,0,0,0,1801432680,8,'',0,0,0),
(4,0,0,0,1801432680,17,'',0,0,0),
(4,0,0,0,1801432680,18,'',0,0,0),
(4,0,0,0,1801432680,20,'',0,0,0),
(4,0,0,0,1801432740,7,'10.0.0.2',69388,88,1),
(4,0,0,0,1801432740,7,'10.0.0.3',147703,93,2),
(4,0,0,0,1801432740,7,'10.0.0.4',54250,106,2),
(4,0,0,0,1801432740,7,'10.0.0.8',144773,90,2),
(4,0,0,0,1801432740,7,'10.0.0.9',92424,11,1),
(4,0,0,0,1801432740,8,'',0,0,0),
(4,0,0,0,1801432740,17,'',0,0,0),
(4,0,0,0,1801432740,18,'',0,0,0),
(4,0,0,0,1801432740,20,'',0,0,0),
(4,0,0,0,1801432800,7,'10.0.0.0',66279,26,1),
(4,0,0,0,1801432800,7,'10.0.0.1',58532,70,1),
(4,0,0,0,1801432800,7,'10.0.0.10',4348,47,1),
(4,0,0,0,1801432800,7,'10.0.0.11',89175,4,1),
(4,0,0,0,1801432800,7,'10.0.0.13',19066,26,1),
(4,0,0,0,1801432800,7,'10.0.0.5',47152,38,1),
(4,0,0,0,1801432800,7,'10.0.0.6',24497,52,1),
(4,0,0,0,1801432800,7,'10.0.0.7',77336,9,1),
(4,0,0,0,1801432800,8,'',0,0,0),
(4,0,0,0,1801432800,17,'',0,0,0),
(4,0,0,0,1801432800,18,'',0,0,0),
(4,0,0,0,1801432800,20,'',0,0,0),
(4,0,0,0,1801436460,7,'10.0.0.12',96894,46,1),
(4,0,0,0,1801436460,7,'10.0.0.4',92988,92,1),
(4,0,0,0,1801436460,7,'10.0.0.5',36997,59,1),
(4,0,0,0,1801436460,7,'10.0.0.8',57366,61,1),
(4,0,0,0,1801436460,7,'10.0.0.9',73277,18,1),
(4,0,0,0,1801436460,8,'',0,0,0),
(4,0,0,0,1801436460,17,'',0,0,0),
(4,0,0,0,1801436460,18,'',0,0,0),
(4,0,0,0,1801436460,20,'',0,0,0),
(4,2,0,0,1801429200,7,'10.0.0.0',72490,97,1),
(4,2,0,0,1801429200,7,'10.0.0.1',9246,32,1),
(4,2,0,0,1801429200,7,'10.0.0.11',54141,52,1),
(4,2,0,0,1801429200,7,'10.0.0.12',121838,72,2),
(4,2,0,0,1801429200,7,'10.0.0.2',69388,88,1),
(4,2,0,0,1801429200,7,'10.0.0.3',147703,93,2),
(4,2,0,0,1801429200,7,'10.0.0.4',54250,106,2),
(4,2,0,0,1801429200,7,'10.0.0.8',268658,118,4),
(4,2,0,0,1801429200,7,'10.0.0.9',167344,83,2),
(4,2,0,0,1801429200,8,'',0,0,0),
(4,2,0,0,1801429200,17,'',0,0,0),
(4,2,0,0,1801429200,18,'',0,0,0),
(4,2,0,0,1801429200,20,'',0,0,0),
(4,2,1,0,1801429200,3,'10.0.0.2',69388,88,1),
(4,2,1,0,1801429200,4,'10.0.0.12',29342,42,1),
(4,2,1,0,1801429200,7,'10.0.0.11',54141,52,1),
(4,2,1,0,1801429200,7,'10.0.0.3',147703,93,2),
(4,2,1,0,1801429200,7,'10.0.0.4',54250,106,2),
(4,2,1,0,1801429200,7,'10.0.0.9',167344,83,2),
(4,2,1,0,1801429200,8,'',0,0,0),
(4,2,1,0,1801429200,17,'',29342,42,1),
(4,2,1,0,1801429200,18,'',29342,42,1),
(4,2,1,0,1801429200,20,'',69388,88,1),
(4,2,1,0,1801432800,7,'10.0.0.0',66279,26,1),
(4,2,1,0,1801432800,7,'10.0.0.1',58532,70,1),
(4,2,1,0,1801432800,7,'10.0.0.11',89175,4,1),
(4,2,1,0,1801432800,7,'10.0.0.6',24497,52,1),
(4,2,1,0,1801432800,8,'',0,0,0),
(4,2,1,0,1801432800,17,'',0,0,0),
(4,2,1,0,1801432800,18,'',0,0,0),
(4,2,1,0,1801432800,20,'',0,0,0),
(4,2,2,0,1801429200,7,'10.0.0.0',72490,97,1),
(4,2,2,0,1801429200,7,'10.0.0.1',9246,32,1),
(4,2,2,0,1801429200,7,'10.0.0.12',92496,30,1),
(4,2,2,0,1801429200,7,'10.0.0.8',268658,118,4),
(4,2,2,0,1801429200,8,'',0,0,0),
(4,2,2,0,1801429200,17,'',0,0,0),
(4,2,2,0,1801429200,18,'',0,0,0),
(4,2,2,0,1801429200,20,'',0,0,0),
(4,2,2,0,1801432800,7,'10.0.0.10',4348,47,1),
(4,2,2,0,1801432800,7,'10.0.0.13',19066,26,1),
(4,2,2,0,1801432800,7,'10.0.0.5',47152,38,1),
(4,2,2,0,1801432800,7,'10.0.0.7',77336,9,1),
(4,2,2,0,1801432800,8,'',0,0,0),
(4,2,2,0,1801432800,17,'',0,0,0),
(4,2,2,0,1801432800,18,'',0,0,0),
(4,2,2,0,1801432800,20,'',0,0,0),
(5,0,0,0,1801432680,7,'tcp/22',54141,52,1),
(5,0,0,0,1801432680,7,'tcp/443',104262,114,2),
(5,0,0,0,1801432680,7,'tcp/53',81736,129,2),
(5,0,0,0,1801432680,7,'tcp/80',92496,30,1),
(5,0,0,0,1801432680,7,'udp/22',96167,16,1),
(5,0,0,0,1801432680,7,'udp/53',27718,12,1),
(5,0,0,0,1801432680,8,'',0,0,0),
(5,0,0,0,1801432680,17,'',0,0,0),
(5,0,0,0,1801432680,18,'',0,0,0),
(5,0,0,0,1801432680,20,'',0,0,0),
(5,0,0,0,1801432740,7,'tcp/443',129502,81,2),
(5,0,0,0,1801432740,7,'udp/22',126345,133,2),
(5,0,0,0,1801432740,7,'udp/443',90746,48,1),
(5,0,0,0,1801432740,7,'udp/53',69521,115,2),
(5,0,0,0,1801432740,7,'udp/80',92424,11,1),
(5,0,0,0,1801432740,8,'',0,0,0),
(5,0,0,0,1801432740,17,'',0,0,0),
(5,0,0,0,1801432740,18,'',0,0,0),
(5,0,0,0,1801432740,20,'',0,0,0),
(5,0,0,0,1801432800,7,'tcp/443',19066,26,1),
(5,0,0,0,1801432800,7,'tcp/53',232790,39,3),
(5,0,0,0,1801432800,7,'tcp/80',47152,38,1),
(5,0,0,0,1801432800,7,'udp/443',4348,47,1),
(5,0,0,0,1801432800,7,'udp/80',83029,122,2),
(5,0,0,0,1801432800,8,'',0,0,0),
(5,0,0,0,1801432800,17,'',0,0,0),
(5,0,0,0,1801432800,18,'',0,0,0),
(5,0,0,0,1801432800,20,'',0,0,0),
(5,0,0,0,1801436460,7,'tcp/443',36997,59,1),
(5,0,0,0,1801436460,7,'tcp/53',92988,92,1),
(5,0,0,0,1801436460,7,'udp/22',73277,18,1),
(5,0,0,0,1801436460,7,'udp/443',57366,61,1),
(5,0,0,0,1801436460,7,'udp/53',96894,46,1),
(5,0,0,0,1801436460,8,'',0,0,0),
(5,0,0,0,1801436460,17,'',0,0,0),
(5,0,0,0,1801436460,18,'',0,0,0),
(5,0,0,0,1801436460,20,'',0,0,0),
(5,2,0,0,1801429200,7,'tcp/22',54141,52,1),
(5,2,0,0,1801429200,7,'tcp/443',233764,195,4),
(5,2,0,0,1801429200,7,'tcp/53',81736,129,2),
(5,2,0,0,1801429200,7,'tcp/80',92496,30,1),
(5,2,0,0,1801429200,7,'udp/22',222512,149,3),
(5,2,0,0,1801429200,7,'udp/443',90746,48,1),
(5,2,0,0,1801429200,7,'udp/53',97239,127,3),
(5,2,0,0,1801429200,7,'udp/80',92424,11,1),
(5,2,0,0,1801429200,8,'',0,0,0),
(5,2,0,0,1801429200,17,'',0,0,0),
(5,2,0,0,1801429200,18,'',0,0,0),
(5,2,0,0,1801429200,20,'',0,0,0),
(5,2,1,0,1801429200,3,'tcp/22',54141,52,1),
(5,2,1,0,1801429200,5,'udp/80',92424,11,1),
(5,2,1,0,1801429200,6,'udp/53',22409,95,1),
(5,2,1,0,1801429200,7,'tcp/443',136103,125,3),
(5,2,1,0,1801429200,7,'udp/22',126345,133,2),
(5,2,1,0,1801429200,7,'udp/443',90746,48,1),
(5,2,1,0,1801429200,8,'',0,0,0),
(5,2,1,0,1801429200,17,'',22409,95,1),
(5,2,1,0,1801429200,18,'',92424,11,1),
(5,2,1,0,1801429200,20,'',54141,52,1),
(5,2,1,0,1801432800,7,'tcp/53',155454,30,2),
(5,2,1,0,1801432800,7,'udp/80',83029,122,2),
(5,2,1,0,1801432800,8,'',0,0,0),
(5,2,1,0,1801432800,17,'',0,0,0),
(5,2,1,0,1801432800,18,'',0,0,0),
(5,2,1,0,1801432800,20,'',0,0,0),
(5,2,2,0,1801429200,7,'tcp/443',97661,70,1),
(5,2,2,0,1801429200,7,'tcp/53',81736,129,2),
(5,2,2,0,1801429200,7,'tcp/80',92496,30,1),
(5,2,2,0,1801429200,7,'udp/22',96167,16,1),
(5,2,2,0,1801429200,7,'udp/53',74830,32,2),
(5,2,2,0,1801429200,8,'',0,0,0),
(5,2,2,0,1801429200,17,'',0,0,0),
(5,2,2,0,1801429200,18,'',0,0,0),
(5,2,2,0,1801429200,20,'',0,0,0),
(5,2,2,0,1801432800,7,'tcp/443',19066,26,1),
(5,2,2,0,1801432800,7,'tcp/53',77336,9,1),
(5,2,2,0,1801432800,7,'tcp/80',47152,38,1),
(5,2,2,0,1801432800,7,'udp/443',4348,47,1),
(5,2,2,0,1801432800,8,'',0,0,0),
(5,2,2,0,1801432800,17,'',0,0,0),
(5,2,2,0,1801432800,18,'',0,0,0),
(5,2,2,0,1801432800,20,'',0,0,0);
/*!40000 ALTER TABLE `rollup` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `schema_version`
--

DROP TABLE IF EXISTS `schema_version`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `schema_version` (
  `what` varchar(20) NOT NULL,
  `version` int(11) NOT NULL,
  PRIMARY KEY (`what`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `schema_version`
--

LOCK TABLES `schema_version` WRITE;
/*!40000 ALTER TABLE `schema_version` DISABLE KEYS */;
INSERT INTO `schema_version` VALUES
('appliance',6),
('flow',2);
/*!40000 ALTER TABLE `schema_version` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `sign_in_attempts`
--

DROP TABLE IF EXISTS `sign_in_attempts`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `sign_in_attempts` (
  `name` varchar(80) NOT NULL,
  `failures` int(11) NOT NULL,
  `latest` double NOT NULL,
  `blocked_until` double NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `sign_in_attempts`
--

LOCK TABLES `sign_in_attempts` WRITE;
/*!40000 ALTER TABLE `sign_in_attempts` DISABLE KEYS */;
INSERT INTO `sign_in_attempts` VALUES
('eve',3,1801436000,1801436060);
/*!40000 ALTER TABLE `sign_in_attempts` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `sign_in_client`
--

DROP TABLE IF EXISTS `sign_in_client`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `sign_in_client` (
  `account` int(11) NOT NULL,
  `client` varchar(45) NOT NULL,
  `latest` double NOT NULL,
  PRIMARY KEY (`account`,`client`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `sign_in_client`
--

LOCK TABLES `sign_in_client` WRITE;
/*!40000 ALTER TABLE `sign_in_client` DISABLE KEYS */;
INSERT INTO `sign_in_client` VALUES
(1,'192.0.2.77',1801436000);
/*!40000 ALTER TABLE `sign_in_client` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `work`
--

DROP TABLE IF EXISTS `work`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `work` (
  `size` tinyint(4) NOT NULL,
  `bin_start` bigint(20) NOT NULL,
  `first_segment` bigint(20) NOT NULL,
  `first_row` bigint(20) NOT NULL,
  `last_segment` bigint(20) NOT NULL,
  `last_row` bigint(20) NOT NULL,
  `done` tinyint(4) NOT NULL,
  PRIMARY KEY (`size`,`bin_start`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `work`
--

LOCK TABLES `work` WRITE;
/*!40000 ALTER TABLE `work` DISABLE KEYS */;
INSERT INTO `work` VALUES
(2,1801429200,0,0,1,24,1),
(2,1801432800,0,0,1,24,0),
(2,1801436400,1,24,1,29,0),
(3,1801353600,0,0,1,29,0),
(4,1798761600,0,0,1,29,0);
/*!40000 ALTER TABLE `work` ENABLE KEYS */;
UNLOCK TABLES;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed on 2026-11-28 15:23:11
